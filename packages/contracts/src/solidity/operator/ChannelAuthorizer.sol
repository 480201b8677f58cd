// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC1271} from "@openzeppelin/contracts/interfaces/IERC1271.sol";
import {AttestedKeys} from "./AttestedKeys.sol";
import {IKeyRegistry} from "./IKeyRegistry.sol";

/// @title The receiver authorizer of a gateway's channels
/// @notice Says by EIP-1271 that a claim or a refund is authorized when an attested key of the gateway signed it. The
///         keys rotate in the registry while this address, and so the channels, stay.
/// @dev It holds nothing, calls nothing and owns nothing. Never give it tokens or roles: it vouches for any digest that
///      an attested key signed.
contract ChannelAuthorizer is AttestedKeys, IERC1271 {
    constructor(IKeyRegistry registry, bytes32 gatewayId) AttestedKeys(registry, gatewayId) {}

    /// @inheritdoc IERC1271
    function isValidSignature(bytes32 digest, bytes calldata signature) external view returns (bytes4) {
        return _isTrusted(digest, signature) ? IERC1271.isValidSignature.selector : bytes4(0xffffffff);
    }
}
