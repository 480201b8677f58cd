// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice Brings a payer's deposit into x402BatchSettlement. The settlement contract trusts no collector: it counts
///         what arrived.
interface IDepositCollector {
    /// @notice Moves exactly `amount` of `token` from `payer` to the settlement contract, or reverts.
    /// @param channelId what the payer's signature must be bound to.
    function collect(address payer, address token, uint256 amount, bytes32 channelId, bytes calldata collectorData)
        external;
}
