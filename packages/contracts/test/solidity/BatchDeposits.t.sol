// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ChannelConfig} from "../../src/solidity/x402/ChannelHashes.sol";
import {DepositCollector} from "../../src/solidity/x402/DepositCollector.sol";
import {ERC3009DepositCollector} from "../../src/solidity/x402/ERC3009DepositCollector.sol";
import {IDepositCollector} from "../../src/solidity/x402/IDepositCollector.sol";
import {Permit2Approval} from "../../src/solidity/x402/Permit2Approval.sol";
import {Permit2DepositCollector} from "../../src/solidity/x402/Permit2DepositCollector.sol";
import {x402BatchSettlement as Batch} from "../../src/solidity/x402/x402BatchSettlement.sol";
import {TestUSDC} from "../../src/solidity/TestUSDC.sol";
import {Deployed} from "./Deployed.sol";

/// @notice Brings one unit too little, too much, or tries to get in twice.
contract DishonestCollector is IDepositCollector {
    TestUSDC private immutable usdc;
    int8 private immutable deviation;
    bytes private reentry;

    constructor(TestUSDC token, int8 by, bytes memory call) {
        usdc = token;
        deviation = by;
        reentry = call;
    }

    function collect(address, address, uint256 amount, bytes32, bytes calldata) external {
        usdc.mint(msg.sender, deviation < 0 ? amount - 1 : deviation > 0 ? amount + 1 : amount);
        if (reentry.length == 0) return;
        (bool success, bytes memory reason) = msg.sender.call(reentry);
        if (success) return;
        assembly ("memory-safe") {
            revert(add(reason, 32), mload(reason))
        }
    }
}

/// @notice Deposits and withdrawals, and who is believed.
contract BatchDepositsTest is Deployed {
    ChannelConfig internal config;
    bytes32 internal id;

    function setUp() public {
        deployAll();
        config = channelOf(0);
        id = batch.getChannelId(config);
    }

    function test_ADepositThatDoesNotArriveExactlyIsRefused() public {
        for (int8 by = -1; by <= 1; by += 2) {
            address collector = address(new DishonestCollector(usdc, by, ""));
            vm.expectRevert(Batch.DepositCollectionFailed.selector);
            batch.deposit(config, 100, collector, "");
        }
        batch.deposit(config, 100, address(new DishonestCollector(usdc, 0, "")), "");
        (uint128 balance,) = stateOf(config);
        equal(balance, 100, "balance");
    }

    function test_ACollectorCannotReenter() public {
        depositInto(config, 1000);
        bytes[4] memory calls = [
            abi.encodeCall(batch.settle, (address(payee), address(usdc))),
            abi.encodeCall(batch.deposit, (config, 100, address(byAuthorization), "")),
            abi.encodeCall(batch.refund, (config, 100)),
            abi.encodeCall(batch.finalizeWithdraw, (config))
        ];
        for (uint256 i = 0; i < calls.length; ++i) {
            address collector = address(new DishonestCollector(usdc, 0, calls[i]));
            vm.expectRevert(bytes4(keccak256("ReentrancyGuardReentrantCall()")));
            batch.deposit(config, 100, collector, "");
        }
    }

    function test_ChannelsWithoutAPartyOrWithAnOddDelayAreRefused() public {
        ChannelConfig memory bad = channelOf(0);
        bad.payer = address(0);
        refuses(bad, Batch.InvalidChannel.selector);
        bad = channelOf(0);
        bad.receiver = address(0);
        refuses(bad, Batch.InvalidChannel.selector);
        bad = channelOf(0);
        bad.receiverAuthorizer = address(0);
        refuses(bad, Batch.InvalidChannel.selector);
        bad = channelOf(0);
        bad.token = address(0);
        refuses(bad, Batch.InvalidChannel.selector);
        bad = channelOf(0);
        bad.withdrawDelay = 15 minutes - 1;
        refuses(bad, Batch.WithdrawDelayOutOfRange.selector);
        bad.withdrawDelay = 30 days + 1;
        refuses(bad, Batch.WithdrawDelayOutOfRange.selector);
        vm.expectRevert(Batch.ZeroDeposit.selector);
        batch.deposit(config, 0, address(byAuthorization), "");
        vm.expectRevert(Batch.InvalidCollector.selector);
        batch.deposit(config, 1, address(0), "");
    }

    function test_ADepositBeyondTheCounterIsRefused() public {
        DishonestCollector collector = new DishonestCollector(usdc, 0, "");
        batch.deposit(config, type(uint128).max, address(collector), "");
        vm.expectRevert(Batch.DepositOverflow.selector);
        batch.deposit(config, 1, address(collector), "");
    }

    function test_OnlyTheSettlementContractCollects() public {
        vm.expectRevert(DepositCollector.OnlyX402BatchSettlement.selector);
        byAuthorization.collect(payer, address(usdc), 1, id, "");
        vm.expectRevert(DepositCollector.OnlyX402BatchSettlement.selector);
        byPermit2.collect(payer, address(usdc), 1, id, "");
        vm.expectRevert(DepositCollector.InvalidX402BatchSettlementAddress.selector);
        new ERC3009DepositCollector(address(0));
        vm.expectRevert(Permit2Approval.InvalidPermit2Address.selector);
        new Permit2DepositCollector(address(batch), address(0));
    }

    function test_AnAuthorizationFundsItsChannelOnlyAndOnce() public {
        bytes memory data = authorizationFor(config, 100, 7);
        ChannelConfig memory other = channelOf(bytes32(uint256(1)));
        vm.expectRevert(TestUSDC.InvalidSignature.selector);
        batch.deposit(other, 100, address(byAuthorization), data);
        vm.expectRevert(TestUSDC.InvalidSignature.selector);
        batch.deposit(config, 101, address(byAuthorization), data);
        batch.deposit(config, 100, address(byAuthorization), data);
        vm.expectRevert(TestUSDC.AuthorizationAlreadyUsed.selector);
        batch.deposit(config, 100, address(byAuthorization), data);
    }

    function test_APermit2DepositFundsItsChannelOnlyAndOnce() public {
        bytes memory data = permissionFor(id, 100, 5);
        ChannelConfig memory other = channelOf(bytes32(uint256(1)));
        vm.expectRevert(bytes4(keccak256("InvalidSigner()")));
        batch.deposit(other, 100, address(byPermit2), data);
        batch.deposit(config, 100, address(byPermit2), data);
        vm.expectRevert(bytes4(keccak256("InvalidNonce()")));
        batch.deposit(config, 100, address(byPermit2), data);
        (uint128 balance,) = stateOf(config);
        equal(balance, 100, "balance");
    }

    function test_APermit2DepositMayBringItsApprovalAlong() public {
        vm.prank(payer);
        usdc.approve(PERMIT2, 0);
        (uint256 nonce, uint256 deadline, bytes memory signature,) =
            abi.decode(permissionFor(id, 100, 5), (uint256, uint256, bytes, bytes));
        bytes memory data = abi.encode(nonce, deadline, signature, approvalFor(99));
        vm.expectRevert(Permit2Approval.Permit2612AmountMismatch.selector);
        batch.deposit(config, 100, address(byPermit2), data);
        bytes memory useless = approvalFor(100);
        useless[159] ^= 0x01; // the last byte of s: the permit fails, and with it the transfer that needs it
        vm.expectRevert();
        batch.deposit(config, 100, address(byPermit2), abi.encode(nonce, deadline, signature, useless));
        batch.deposit(config, 100, address(byPermit2), abi.encode(nonce, deadline, signature, approvalFor(100)));
        (uint128 balance,) = stateOf(config);
        equal(balance, 100, "balance");
    }

    function testFuzz_AWithdrawalWaitsAndTakesOnlyWhatIsNotClaimed(uint128 asked, uint128 claimedMeanwhile) public {
        depositInto(config, 1000);
        asked = uint128(bound(asked, 1, 1000));
        claimedMeanwhile = uint128(bound(claimedMeanwhile, 1, 1000));
        vm.startPrank(payer);
        batch.initiateWithdraw(config, asked);
        vm.expectRevert(Batch.WithdrawalAlreadyPending.selector);
        batch.initiateWithdraw(config, 1);
        vm.warp(START + 1 hours - 1);
        vm.expectRevert(Batch.WithdrawDelayNotElapsed.selector);
        batch.finalizeWithdraw(config);
        vm.stopPrank();
        claimAsEnclave(one(voucherFor(config, claimedMeanwhile, claimedMeanwhile)));
        vm.warp(START + 1 hours);
        vm.prank(payer);
        batch.finalizeWithdraw(config);
        uint256 left = 1000 - claimedMeanwhile;
        equal(usdc.balanceOf(payer), 1e24 - 1000 + (asked < left ? asked : left), "payer");
        (uint128 pending, uint40 since) = batch.pendingWithdrawals(id);
        equal(pending + since, 0, "pending");
        vm.prank(payer);
        vm.expectRevert(Batch.WithdrawalNotPending.selector);
        batch.finalizeWithdraw(config);
    }

    function test_ARefundLowersOrEndsAPendingWithdrawal() public {
        depositInto(config, 1000);
        vm.prank(payer);
        batch.initiateWithdraw(config, 600);
        refundAsEnclave(config, 200);
        (uint128 pending,) = batch.pendingWithdrawals(id);
        equal(pending, 400, "pending");
        refundAsEnclave(config, 400);
        (uint128 none, uint40 since) = batch.pendingWithdrawals(id);
        equal(none + since, 0, "pending");
    }

    function test_OnlyThePayerSideWithdraws() public {
        depositInto(config, 1000);
        vm.expectRevert(Batch.NotAuthorizedToFinalizeWithdraw.selector);
        batch.initiateWithdraw(config, 1);
        vm.expectRevert(Batch.NotAuthorizedToFinalizeWithdraw.selector);
        batch.finalizeWithdraw(config);
        vm.startPrank(payer);
        vm.expectRevert(Batch.NothingToWithdraw.selector);
        batch.initiateWithdraw(config, 0);
        vm.expectRevert(Batch.WithdrawAmountExceedsAvailable.selector);
        batch.initiateWithdraw(config, 1001);
    }

    function refuses(ChannelConfig memory bad, bytes4 reason) private {
        vm.expectRevert(reason);
        batch.deposit(bad, 1, address(byAuthorization), "");
    }

    function approvalFor(uint256 value) private view returns (bytes memory) {
        bytes32 structHash =
            keccak256(abi.encode(usdc.PERMIT_TYPEHASH(), payer, PERMIT2, value, usdc.nonces(payer), block.timestamp));
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(PAYER_KEY, typed(usdc.DOMAIN_SEPARATOR(), structHash));
        return abi.encode(value, block.timestamp, v, r, s);
    }

    function permissionFor(bytes32 channelId, uint256 amount, uint256 nonce) private view returns (bytes memory) {
        bytes32 permitted =
            keccak256(abi.encode(keccak256("TokenPermissions(address token,uint256 amount)"), address(usdc), amount));
        bytes32 structHash = keccak256(
            abi.encode(
                bytes32(0x436a25c01a21a6ed025816c4c9ea3d6132aa879dd7ef16f6188dd3b0aebccc52),
                permitted,
                address(byPermit2),
                nonce,
                type(uint256).max,
                keccak256(abi.encode(byPermit2.DEPOSIT_WITNESS_TYPEHASH(), channelId))
            )
        );
        bytes32 separator = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,uint256 chainId,address verifyingContract)"),
                keccak256("Permit2"),
                block.chainid,
                PERMIT2
            )
        );
        return abi.encode(nonce, type(uint256).max, sign(PAYER_KEY, typed(separator, structHash)), bytes(""));
    }
}
