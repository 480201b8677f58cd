// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {IKeyRegistry} from "./IKeyRegistry.sol";

/// @notice Trusts a signature when an attested key of one gateway made it, as the registry says at this moment.
abstract contract AttestedKeys {
    /// @notice A key that has ended still settles for this long what it signed in time. Its enclave is gone by then,
    ///         so nothing new is signed; a key that may have leaked is revoked, and then there is no grace.
    uint256 public constant GRACE_SECONDS = 2 days;

    IKeyRegistry public immutable REGISTRY;
    bytes32 public immutable GATEWAY_ID;

    error InvalidRegistry();

    constructor(IKeyRegistry registry, bytes32 gatewayId) {
        if (address(registry).code.length == 0 || gatewayId == 0) revert InvalidRegistry();
        REGISTRY = registry;
        GATEWAY_ID = gatewayId;
    }

    /// @dev 65 bytes r, s, v with low s and v 27 or 28; anything else is untrusted, never a revert.
    function _isTrusted(bytes32 digest, bytes calldata signature) internal view returns (bool) {
        (address key, ECDSA.RecoverError failure,) = ECDSA.tryRecoverCalldata(digest, signature);
        return
            failure == ECDSA.RecoverError.NoError && REGISTRY.isTrusted(GATEWAY_ID, key, block.timestamp, GRACE_SECONDS);
    }
}
