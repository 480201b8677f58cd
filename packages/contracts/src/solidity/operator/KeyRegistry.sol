// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Ownable, Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";
import {IKeyRegistry} from "./IKeyRegistry.sol";

/// @title Settlement keys of attested gateways, each with the time during which its signatures count
/// @notice A record is written once and never grows: afterwards its end can only be moved nearer, by a revocation. So
///         nobody can make an old key valid again, and what was valid at a time before a revocation stays so.
/// @dev Three roles. The owner (a timelock) appoints the two others. The registrar says which keys are attested: now the
///      same timelock, so that payers see each key for the whole delay before it counts; later a contract that checks a
///      quorum of full nodes, which is a change of `registrar` and of nothing else. The guardian can only revoke.
contract KeyRegistry is IKeyRegistry, Ownable2Step {
    /// @dev One slot. `validUntil` is 0 exactly when the key was never registered, `revokedAt` when never revoked.
    struct KeyRecord {
        uint40 validFrom;
        uint40 validUntil;
        uint40 revokedAt;
    }

    /// @notice A keyset lives no longer than this (receipts: not-before to not-after of a keyset).
    uint40 public constant MAX_LIFETIME = 1 days;

    address public registrar;
    address public guardian;
    mapping(bytes32 gatewayId => mapping(address key => KeyRecord)) public keys;

    event KeyRegistered(
        bytes32 indexed gatewayId, address indexed key, uint40 validFrom, uint40 validUntil, bytes32 keysetDigest
    );
    event KeyRevoked(bytes32 indexed gatewayId, address indexed key, uint40 revokedAt);
    event RegistrarChanged(address registrar);
    event GuardianChanged(address guardian);

    error NotRegistrar();
    error NotAllowedToRevoke();
    error InvalidKey();
    error InvalidInterval();
    error KeyAlreadyRegistered();
    error KeyNotRegistered();
    error AlreadyRevoked();
    error OwnershipCannotBeRenounced();

    constructor(address owner, address registrar_, address guardian_) Ownable(owner) {
        _setRegistrar(registrar_);
        _setGuardian(guardian_);
    }

    /// @notice Makes `key` count for `gatewayId` from `validFrom` (included) to `validUntil` (excluded), Unix seconds.
    /// @param keysetDigest SHA-256 of the keyset statement that names the key; only logged, for those who check.
    function registerKey(bytes32 gatewayId, address key, uint40 validFrom, uint40 validUntil, bytes32 keysetDigest)
        external
    {
        if (msg.sender != registrar) revert NotRegistrar();
        if (gatewayId == 0 || key == address(0) || keysetDigest == 0) revert InvalidKey();
        if (validUntil <= validFrom || validUntil - validFrom > MAX_LIFETIME || validUntil <= block.timestamp) {
            revert InvalidInterval();
        }
        if (keys[gatewayId][key].validUntil != 0) revert KeyAlreadyRegistered();
        keys[gatewayId][key] = KeyRecord(validFrom, validUntil, 0);
        emit KeyRegistered(gatewayId, key, validFrom, validUntil, keysetDigest);
    }

    /// @notice Ends a key as of `since`, which may lie in the past: nothing signed at or after it counts.
    ///         A second revocation can only move the moment back.
    function revokeKey(bytes32 gatewayId, address key, uint40 since) external {
        if (msg.sender != guardian && msg.sender != registrar && msg.sender != owner()) revert NotAllowedToRevoke();
        KeyRecord storage record = keys[gatewayId][key];
        if (record.validUntil == 0) revert KeyNotRegistered();
        if (since == 0) revert InvalidInterval();
        if (record.revokedAt != 0 && since >= record.revokedAt) revert AlreadyRevoked();
        record.revokedAt = since;
        emit KeyRevoked(gatewayId, key, since);
    }

    function setRegistrar(address newRegistrar) external onlyOwner {
        _setRegistrar(newRegistrar);
    }

    function setGuardian(address newGuardian) external onlyOwner {
        _setGuardian(newGuardian);
    }

    /// @inheritdoc IKeyRegistry
    function isTrusted(bytes32 gatewayId, address key, uint256 time, uint256 graceSeconds)
        external
        view
        returns (bool)
    {
        KeyRecord memory record = keys[gatewayId][key];
        return record.validUntil != 0 && record.validFrom <= time && time < record.validUntil + graceSeconds
            && (record.revokedAt == 0 || time < record.revokedAt);
    }

    /// @dev Without an owner a lost registrar could never be replaced.
    function renounceOwnership() public pure override {
        revert OwnershipCannotBeRenounced();
    }

    function _setRegistrar(address newRegistrar) private {
        if (newRegistrar == address(0)) revert NotRegistrar();
        registrar = newRegistrar;
        emit RegistrarChanged(newRegistrar);
    }

    function _setGuardian(address newGuardian) private {
        guardian = newGuardian;
        emit GuardianChanged(newGuardian);
    }
}
