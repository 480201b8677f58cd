// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {ISignatureTransfer} from "./ISignatureTransfer.sol";
import {Permit2Approval} from "./Permit2Approval.sol";

/// @notice What the exact and the upto proxy share: Permit2 lets only this contract spend the permission, and this
///         contract sends only to the payee that the payer signed.
abstract contract Permit2Proxy is Permit2Approval, ReentrancyGuardTransient {
    /// @notice An EIP-2612 permit of the token for Permit2. `value` must equal the permitted amount.
    struct EIP2612Permit {
        uint256 value;
        uint256 deadline;
        bytes32 r;
        bytes32 s;
        uint8 v;
    }

    event Settled();
    event SettledWithPermit();

    error InvalidAmount();
    error InvalidDestination();
    error InvalidOwner();
    error PaymentTooEarly();

    function _approve(
        EIP2612Permit calldata approval,
        ISignatureTransfer.PermitTransferFrom calldata permit,
        address owner
    ) internal {
        if (approval.value != permit.permitted.amount) {
            revert Permit2612AmountMismatch();
        }
        _tryPermit(permit.permitted.token, owner, approval.value, approval.deadline, approval.v, approval.r, approval.s);
    }

    function _requirePayable(uint256 amount, address owner, address to, uint256 validAfter) internal view {
        if (amount == 0) revert InvalidAmount();
        if (owner == address(0)) revert InvalidOwner();
        if (to == address(0)) revert InvalidDestination();
        if (block.timestamp < validAfter) revert PaymentTooEarly();
    }
}
