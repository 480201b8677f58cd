// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {DepositCollector} from "./DepositCollector.sol";
import {ISignatureTransfer} from "./ISignatureTransfer.sol";
import {Permit2Approval} from "./Permit2Approval.sol";

/// @title Deposits by Permit2
/// @notice The permission names this contract as spender and the channel as witness: so it can fund no other channel.
contract Permit2DepositCollector is DepositCollector, Permit2Approval {
    bytes32 public constant DEPOSIT_WITNESS_TYPEHASH = keccak256("DepositWitness(bytes32 channelId)");
    string public constant DEPOSIT_WITNESS_TYPE_STRING =
        "DepositWitness witness)DepositWitness(bytes32 channelId)TokenPermissions(address token,uint256 amount)";

    constructor(address settlement, address permit2) DepositCollector(settlement) Permit2Approval(permit2) {}

    /// @param collectorData abi.encode(uint256 nonce, uint256 deadline, bytes permit2Signature, bytes eip2612PermitData);
    ///        the last is empty or abi.encode(uint256 value, uint256 deadline, uint8 v, bytes32 r, bytes32 s).
    function collect(address payer, address token, uint256 amount, bytes32 channelId, bytes calldata collectorData)
        external
        onlyX402BatchSettlement
    {
        (uint256 nonce, uint256 deadline, bytes memory signature, bytes memory approval) =
            abi.decode(collectorData, (uint256, uint256, bytes, bytes));
        if (approval.length != 0) _approve(payer, token, amount, approval);
        PERMIT2.permitWitnessTransferFrom(
            ISignatureTransfer.PermitTransferFrom(ISignatureTransfer.TokenPermissions(token, amount), nonce, deadline),
            ISignatureTransfer.SignatureTransferDetails(x402BatchSettlement, amount),
            payer,
            keccak256(abi.encode(DEPOSIT_WITNESS_TYPEHASH, channelId)),
            DEPOSIT_WITNESS_TYPE_STRING,
            signature
        );
    }

    function _approve(address payer, address token, uint256 amount, bytes memory approval) private {
        (uint256 value, uint256 deadline, uint8 v, bytes32 r, bytes32 s) =
            abi.decode(approval, (uint256, uint256, uint8, bytes32, bytes32));
        if (value != amount) revert Permit2612AmountMismatch();
        _tryPermit(token, payer, value, deadline, v, r, s);
    }
}
