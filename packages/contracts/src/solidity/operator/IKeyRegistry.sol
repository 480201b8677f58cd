// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice What the payment contracts ask of a registry of attested keys.
interface IKeyRegistry {
    /// @notice True when `key` was registered for `gatewayId`, `time` is at or after its beginning and before
    ///         `graceSeconds` past its end, and it was not revoked as of `time`.
    function isTrusted(bytes32 gatewayId, address key, uint256 time, uint256 graceSeconds) external view returns (bool);
}
