// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ISignatureTransfer} from "../../src/solidity/x402/ISignatureTransfer.sol";
import {Multicall3} from "../../src/solidity/x402/Multicall3.sol";
import {Permit2Approval} from "../../src/solidity/x402/Permit2Approval.sol";
import {Permit2Proxy} from "../../src/solidity/x402/Permit2Proxy.sol";
import {x402ExactPermit2Proxy} from "../../src/solidity/x402/x402ExactPermit2Proxy.sol";
import {x402BatchSettlement as Batch} from "../../src/solidity/x402/x402BatchSettlement.sol";
import {ChannelConfig} from "../../src/solidity/x402/ChannelHashes.sol";
import {Permit2Payments} from "./Permit2Payments.sol";

/// @notice Fails to permit in each way, and says that it moved what it did not move.
contract OddToken {
    uint8 private immutable mode;

    constructor(uint8 failure) {
        mode = failure;
    }

    function permit(address, address, uint256, uint256, uint8, bytes32, bytes32) external view {
        if (mode == 0) revert("no permit");
        assert(mode != 1);
        assembly ("memory-safe") {
            mstore(0, 7)
            revert(0, 32)
        }
    }

    function transferFrom(address, address, uint256) external pure returns (bool) {
        return true;
    }
}

/// @notice Takes back control while it pays, to be paid twice.
contract ReentrantToken {
    mapping(address => uint256) public balanceOf;
    bytes private reentry;
    uint256 public attempts;

    function mint(address to, uint256 amount) external {
        balanceOf[to] += amount;
    }

    function attack(bytes calldata call) external {
        reentry = call;
    }

    function transfer(address to, uint256 amount) external returns (bool) {
        balanceOf[msg.sender] -= amount;
        balanceOf[to] += amount;
        if (reentry.length == 0) return true;
        ++attempts;
        (bool success,) = msg.sender.call(reentry);
        return !success;
    }
}

/// @notice Tokens that are not USDC, and the reads that facilitators make.
contract OddTokensTest is Permit2Payments {
    function setUp() public {
        deployAll();
    }

    function test_APermitThatFailsInAnyWayOnlySaysSo() public {
        x402ExactPermit2Proxy.Witness memory witness = x402ExactPermit2Proxy.Witness(address(payee), 0);
        Permit2Proxy.EIP2612Permit memory approval = Permit2Proxy.EIP2612Permit(100, 0, 0, 0, 27);
        for (uint8 mode = 0; mode < 3; ++mode) {
            address token = address(new OddToken(mode));
            ISignatureTransfer.PermitTransferFrom memory permit = permitOf(100, mode);
            permit.permitted.token = token;
            bytes memory signature = signExact(permit, witness);
            vm.expectEmit();
            if (mode == 0) emit Permit2Approval.EIP2612PermitFailedWithReason(token, payer, "no permit");
            if (mode == 1) emit Permit2Approval.EIP2612PermitFailedWithPanic(token, payer, 1);
            if (mode == 2) emit Permit2Approval.EIP2612PermitFailedWithData(token, payer, abi.encode(7));
            // The event says settled although nothing moved: whoever sells must look for the Transfer.
            vm.expectEmit();
            emit Permit2Proxy.SettledWithPermit();
            exactProxy.settleWithPermit(approval, permit, payer, witness, signature);
        }
    }

    function test_ATokenThatCallsBackIsPaidOnce() public {
        ReentrantToken token = new ReentrantToken();
        ChannelConfig memory config = channelOf(0);
        config.token = address(token);
        batch.deposit(config, 1000, address(this), "");
        claimAsEnclave(one(voucherFor(config, 400, 400)));
        token.attack(abi.encodeCall(batch.settle, (address(payee), address(token))));
        batch.settle(address(payee), address(token));
        equal(token.balanceOf(address(payee)), 400, "paid once");
        vm.prank(payer);
        batch.initiateWithdraw(config, 600);
        vm.warp(START + 1 hours);
        token.attack(abi.encodeCall(batch.finalizeWithdraw, (config)));
        vm.prank(payer);
        batch.finalizeWithdraw(config);
        equal(token.balanceOf(payer), 600, "withdrawn once");
        equal(token.balanceOf(address(batch)), 0, "held");
        equal(token.attempts(), 2, "attempts");
    }

    function test_AWithdrawalOfNothingEndsSoThatALaterDepositIsSafe() public {
        ChannelConfig memory config = channelOf(0);
        depositInto(config, 1000);
        vm.prank(payer);
        batch.initiateWithdraw(config, 1000);
        claimAsEnclave(one(voucherFor(config, 1000, 1000)));
        vm.warp(START + 1 hours);
        vm.expectEmit();
        emit Batch.WithdrawFinalized(batch.getChannelId(config), payer, 0);
        vm.prank(payer);
        batch.finalizeWithdraw(config);
        depositInto(config, 500);
        vm.prank(payer);
        vm.expectRevert(Batch.WithdrawalNotPending.selector);
        batch.finalizeWithdraw(config);
    }

    function test_ManyReadsInOneCall() public {
        Multicall3 multicall = Multicall3(deploy("Multicall3", ""));
        bytes memory good = abi.encodeCall(usdc.balanceOf, (payer));
        bytes memory bad = abi.encodeCall(batch.settle, (address(0), address(0)));
        Multicall3.Call[] memory calls = new Multicall3.Call[](2);
        calls[0] = Multicall3.Call(address(usdc), good);
        calls[1] = Multicall3.Call(address(usdc), bad);
        Multicall3.Result[] memory results = multicall.tryAggregate(false, calls);
        holds(results[0].success && abi.decode(results[0].returnData, (uint256)) == 1e24, "good");
        holds(!results[1].success, "bad");
        vm.expectRevert(abi.encodeWithSelector(Multicall3.CallFailed.selector, 1));
        multicall.tryAggregate(true, calls);
        Multicall3.Call3[] memory calls3 = new Multicall3.Call3[](2);
        calls3[0] = Multicall3.Call3(address(usdc), false, good);
        calls3[1] = Multicall3.Call3(address(usdc), true, bad);
        results = multicall.aggregate3(calls3);
        holds(results[0].success && !results[1].success, "both");
        calls3[1].allowFailure = false;
        vm.expectRevert(abi.encodeWithSelector(Multicall3.CallFailed.selector, 1));
        multicall.aggregate3(calls3);
    }

    /// @dev A collector for tokens without signatures.
    function collect(address, address token, uint256 amount, bytes32, bytes calldata) external {
        ReentrantToken(token).mint(msg.sender, amount);
    }
}
