// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {UptoSettler} from "../../src/solidity/operator/UptoSettler.sol";
import {ISignatureTransfer} from "../../src/solidity/x402/ISignatureTransfer.sol";
import {Permit2Approval} from "../../src/solidity/x402/Permit2Approval.sol";
import {Permit2Proxy} from "../../src/solidity/x402/Permit2Proxy.sol";
import {x402ExactPermit2Proxy} from "../../src/solidity/x402/x402ExactPermit2Proxy.sol";
import {x402UptoPermit2Proxy} from "../../src/solidity/x402/x402UptoPermit2Proxy.sol";
import {Permit2Payments} from "./Permit2Payments.sol";

/// @notice The exact and the upto proxy, and the settler that stands before the latter.
contract Permit2ProxiesTest is Permit2Payments {
    x402ExactPermit2Proxy.Witness internal exactWitness;
    x402UptoPermit2Proxy.Witness internal uptoWitness;

    function setUp() public {
        deployAll();
        exactWitness = x402ExactPermit2Proxy.Witness(address(payee), START);
        uptoWitness = x402UptoPermit2Proxy.Witness(address(payee), address(settler), START);
    }

    function testFuzz_ExactMovesThePermittedAmountOnce(uint256 amount, uint256 nonce) public {
        ISignatureTransfer.PermitTransferFrom memory permit = permitOf(bound(amount, 1, 1e24), nonce);
        bytes memory signature = signExact(permit, exactWitness);
        vm.expectEmit();
        emit Permit2Proxy.Settled();
        exactProxy.settle(permit, payer, exactWitness, signature);
        equal(usdc.balanceOf(address(payee)), permit.permitted.amount, "paid");
        vm.expectRevert(bytes4(keccak256("InvalidNonce()")));
        exactProxy.settle(permit, payer, exactWitness, signature);
    }

    function test_ExactRefusesWhatThePayerDidNotSign() public {
        ISignatureTransfer.PermitTransferFrom memory permit = permitOf(100, 1);
        bytes memory signature = signExact(permit, exactWitness);
        bytes4 wrong = bytes4(keccak256("InvalidSigner()"));
        vm.expectRevert(wrong);
        exactProxy.settle(permit, payer, x402ExactPermit2Proxy.Witness(operator, START), signature);
        permit.permitted.amount = 101;
        vm.expectRevert(wrong);
        exactProxy.settle(permit, payer, exactWitness, signature);
        permit.permitted.amount = 0;
        vm.expectRevert(Permit2Proxy.InvalidAmount.selector);
        exactProxy.settle(permit, payer, exactWitness, signature);
        permit.permitted.amount = 100;
        vm.expectRevert(Permit2Proxy.InvalidOwner.selector);
        exactProxy.settle(permit, address(0), exactWitness, signature);
        vm.expectRevert(Permit2Proxy.InvalidDestination.selector);
        exactProxy.settle(permit, payer, x402ExactPermit2Proxy.Witness(address(0), START), signature);
        vm.expectRevert(Permit2Proxy.PaymentTooEarly.selector);
        exactProxy.settle(permit, payer, x402ExactPermit2Proxy.Witness(address(payee), START + 1), signature);
        vm.warp(START + 601);
        vm.expectRevert(abi.encodeWithSignature("SignatureExpired(uint256)", START + 600));
        exactProxy.settle(permit, payer, exactWitness, signature);
        vm.expectRevert(Permit2Approval.InvalidPermit2Address.selector);
        new x402ExactPermit2Proxy(address(0));
    }

    function testFuzz_UptoMovesWhatTheEnclaveSignedAndNoMore(uint256 permitted, uint256 charged, uint256 nonce) public {
        permitted = bound(permitted, 1, 1e24);
        charged = bound(charged, 1, 2e24);
        ISignatureTransfer.PermitTransferFrom memory permit = permitOf(permitted, nonce);
        bytes memory signature = signUpto(permit, uptoWitness);
        bytes memory charge = signCharge(enclaveKey, nonce, charged);
        if (charged > permitted) vm.expectRevert(x402UptoPermit2Proxy.AmountExceedsPermitted.selector);
        settler.settle(permit, charged, payer, uptoWitness, signature, charge);
        equal(usdc.balanceOf(address(payee)), charged > permitted ? 0 : charged, "paid");
        if (charged > permitted) return;
        vm.expectRevert(bytes4(keccak256("InvalidNonce()")));
        settler.settle(permit, charged, payer, uptoWitness, signature, charge);
    }

    function test_UptoNeedsTheFacilitatorThatThePayerNamed() public {
        ISignatureTransfer.PermitTransferFrom memory permit = permitOf(100, 1);
        bytes memory signature = signUpto(permit, uptoWitness);
        vm.expectRevert(x402UptoPermit2Proxy.UnauthorizedFacilitator.selector);
        uptoProxy.settle(permit, 100, payer, uptoWitness, signature);
        vm.expectRevert(bytes4(keccak256("InvalidSigner()")));
        uptoProxy.settle(
            permit, 100, payer, x402UptoPermit2Proxy.Witness(address(payee), address(this), START), signature
        );
    }

    function test_TheSettlerPassesOnNothingThatNoAttestedKeySigned() public {
        ISignatureTransfer.PermitTransferFrom memory permit = permitOf(100, 1);
        bytes memory signature = signUpto(permit, uptoWitness);
        bytes[5] memory charges = [
            signCharge(PAYER_KEY, 1, 100),
            signCharge(enclaveKey, 2, 100),
            signCharge(enclaveKey, 1, 99),
            bytes(""),
            sign(enclaveKey, keccak256("something else"))
        ];
        for (uint256 i = 0; i < charges.length; ++i) {
            vm.expectRevert(UptoSettler.UntrustedCharge.selector);
            settler.settle(permit, 100, payer, uptoWitness, signature, charges[i]);
        }
        vm.prank(guardian);
        registry.revokeKey(GATEWAY, vm.addr(enclaveKey), uint40(START));
        bytes memory revoked = signCharge(enclaveKey, 1, 100);
        vm.expectRevert(UptoSettler.UntrustedCharge.selector);
        settler.settle(permit, 100, payer, uptoWitness, signature, revoked);
        equal(usdc.balanceOf(address(payee)), 0, "paid");
    }

    function test_ApprovalAndPaymentInOneTransaction() public {
        vm.prank(payer);
        usdc.approve(PERMIT2, 0);
        ISignatureTransfer.PermitTransferFrom memory permit = permitOf(100, 1);
        Permit2Proxy.EIP2612Permit memory approval = approvalOf(100);
        bytes memory signature = signUpto(permit, uptoWitness);
        bytes memory charge = signCharge(enclaveKey, 1, 60);
        settler.settleWithPermit(approval, permit, 60, payer, uptoWitness, signature, charge);
        equal(usdc.balanceOf(address(payee)), 60, "paid");

        permit = permitOf(100, 2);
        approval = approvalOf(99);
        signature = signExact(permit, exactWitness);
        vm.expectRevert(Permit2Approval.Permit2612AmountMismatch.selector);
        exactProxy.settleWithPermit(approval, permit, payer, exactWitness, signature);
        exactProxy.settleWithPermit(approvalOf(100), permit, payer, exactWitness, signature);
        equal(usdc.balanceOf(address(payee)), 160, "paid");
    }

    function test_AnApprovalThatSomebodySentBeforeDoesNotStopThePayment() public {
        ISignatureTransfer.PermitTransferFrom memory permit = permitOf(100, 1);
        Permit2Proxy.EIP2612Permit memory approval = approvalOf(100);
        usdc.permit(payer, PERMIT2, approval.value, approval.deadline, approval.v, approval.r, approval.s);
        bytes memory signature = signExact(permit, exactWitness);
        exactProxy.settleWithPermit(approval, permit, payer, exactWitness, signature);
        equal(usdc.balanceOf(address(payee)), 100, "paid");
    }

    function signCharge(uint256 key, uint256 nonce, uint256 amount) private view returns (bytes memory) {
        return sign(key, settler.getChargeDigest(payer, address(usdc), address(payee), nonce, amount));
    }

    function approvalOf(uint256 value) private view returns (Permit2Proxy.EIP2612Permit memory) {
        bytes32 structHash =
            keccak256(abi.encode(usdc.PERMIT_TYPEHASH(), payer, PERMIT2, value, usdc.nonces(payer), block.timestamp));
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(PAYER_KEY, typed(usdc.DOMAIN_SEPARATOR(), structHash));
        return Permit2Proxy.EIP2612Permit(value, block.timestamp, r, s, v);
    }
}
