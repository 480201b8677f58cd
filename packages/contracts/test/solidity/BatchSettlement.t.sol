// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {ChannelConfig, VoucherClaim} from "../../src/solidity/x402/ChannelHashes.sol";
import {x402BatchSettlement as Batch} from "../../src/solidity/x402/x402BatchSettlement.sol";
import {Deployed} from "./Deployed.sol";
import {Vm} from "./Vm.sol";

/// @notice A payer that is a contract. Its answer may be longer than it should, or no answer at all.
contract ContractWallet {
    address private immutable owner;
    bytes private answer;

    constructor(address signer, bytes memory says) {
        owner = signer;
        answer = says;
    }

    function isValidSignature(bytes32 digest, bytes calldata signature) external view returns (bytes4) {
        bytes memory says = answer;
        if (says.length == 0) return ECDSA.recover(digest, signature) == owner ? bytes4(0x1626ba7e) : bytes4(0);
        assembly ("memory-safe") {
            return(add(says, 32), mload(says))
        }
    }
}

/// @notice The rules of claims and refunds, each with what it refuses.
contract BatchSettlementTest is Deployed {
    ChannelConfig internal config;
    bytes32 internal id;

    function setUp() public {
        deployAll();
        config = channelOf(0);
        id = batch.getChannelId(config);
    }

    function testFuzz_MoneyGoesToThePayeeUpToTheClaimAndBackToThePayer(
        uint128 deposited,
        uint128 ceiling,
        uint128 charged
    ) public {
        deposited = uint128(bound(deposited, 1, 1e24));
        ceiling = uint128(bound(ceiling, 1, deposited));
        charged = uint128(bound(charged, 1, ceiling));
        depositInto(config, deposited);
        claimAsEnclave(one(voucherFor(config, ceiling, charged)));
        batch.settle(address(payee), address(usdc));
        equal(usdc.balanceOf(address(payee)), charged, "paid");
        if (charged < deposited) refundAsEnclave(config, type(uint128).max);
        equal(usdc.balanceOf(payer), 1e24 - charged, "left to the payer");
        equal(usdc.balanceOf(address(batch)), 0, "held");
        payee.forward(address(usdc));
        equal(usdc.balanceOf(operator), charged, "forwarded");
    }

    function testFuzz_NothingIsClaimedAboveTheCeilingOrTheBalance(uint128 deposited, uint128 ceiling, uint128 charged)
        public
    {
        deposited = uint128(bound(deposited, 1, 1e24));
        charged = uint128(bound(charged, 1, type(uint128).max));
        depositInto(config, deposited);
        VoucherClaim[] memory rows = one(voucherFor(config, ceiling, charged));
        bytes memory signature = sign(enclaveKey, batch.getClaimBatchDigest(rows));
        if (charged > ceiling) vm.expectRevert(Batch.ClaimExceedsCeiling.selector);
        else if (charged > deposited) vm.expectRevert(Batch.ClaimExceedsBalance.selector);
        batch.claimWithSignature(rows, signature);
        (, uint128 claimed) = stateOf(config);
        equal(claimed, charged <= ceiling && charged <= deposited ? charged : 0, "claimed");
    }

    function test_AClaimAtOrBelowWhatIsClaimedChangesNothing() public {
        depositInto(config, 1000);
        VoucherClaim[] memory rows = one(voucherFor(config, 500, 400));
        claimAsEnclave(rows);
        claimAsEnclave(rows);
        claimAsEnclave(one(voucherFor(config, 500, 399)));
        (uint128 balance, uint128 claimed) = stateOf(config);
        equal(claimed, 400, "claimed");
        equal(balance, 1000, "balance");
    }

    function test_OneBadRowRevertsTheBatch() public {
        ChannelConfig memory other = channelOf(bytes32(uint256(1)));
        depositInto(config, 1000);
        depositInto(other, 1000);
        VoucherClaim[] memory rows = new VoucherClaim[](2);
        rows[0] = voucherFor(config, 500, 400);
        rows[1] = voucherFor(other, 500, 400);
        rows[1].signature = rows[0].signature;
        bytes memory signature = sign(enclaveKey, batch.getClaimBatchDigest(rows));
        vm.expectRevert(Batch.InvalidSignature.selector);
        batch.claimWithSignature(rows, signature);
        rows[1] = voucherFor(other, 500, 400);
        rows[1].voucher.channel.receiverAuthorizer = address(this);
        vm.expectRevert(Batch.NotReceiverAuthorizer.selector);
        batch.claimWithSignature(rows, signature);
        (, uint128 claimed) = stateOf(config);
        equal(claimed, 0, "claimed");
    }

    function test_VouchersWithHighSOrOddVAreRefused() public {
        depositInto(config, 1000);
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(PAYER_KEY, batch.getVoucherDigest(id, 500));
        uint256 order = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141;
        VoucherClaim[] memory rows = one(voucherFor(config, 500, 400));
        bytes memory signature = sign(enclaveKey, batch.getClaimBatchDigest(rows));
        bytes32 highS = bytes32(order - uint256(s));
        rows[0].signature = abi.encodePacked(r, highS, v == 27 ? uint8(28) : uint8(27));
        vm.expectRevert(abi.encodeWithSelector(ECDSA.ECDSAInvalidSignatureS.selector, highS));
        batch.claimWithSignature(rows, signature);
        rows[0].signature = abi.encodePacked(r, s, v - 27);
        vm.expectRevert(ECDSA.ECDSAInvalidSignature.selector);
        batch.claimWithSignature(rows, signature);
        rows[0].signature = abi.encodePacked(r, s);
        vm.expectRevert(abi.encodeWithSelector(ECDSA.ECDSAInvalidSignatureLength.selector, 64));
        batch.claimWithSignature(rows, signature);
    }

    function test_OnlyTheReceiverSideClaimsAndRefunds() public {
        depositInto(config, 1000);
        VoucherClaim[] memory rows = one(voucherFor(config, 500, 400));
        vm.expectRevert(Batch.NotAuthorizedToClaim.selector);
        batch.claim(rows);
        vm.expectRevert(Batch.InvalidSignature.selector);
        batch.claimWithSignature(rows, sign(PAYER_KEY, keccak256("anything")));
        vm.expectRevert(Batch.NotAuthorizedToRefund.selector);
        batch.refund(config, 1);
        vm.expectRevert(Batch.InvalidSignature.selector);
        batch.refundWithSignature(config, 1, 0, sign(PAYER_KEY, keccak256("anything")));
        vm.expectRevert(Batch.EmptyBatch.selector);
        batch.claim(new VoucherClaim[](0));
        vm.expectRevert(Batch.EmptyBatch.selector);
        batch.claimWithSignature(new VoucherClaim[](0), "");
        vm.prank(address(payee)); // what a payee that could call would do: ours cannot
        batch.claim(rows);
        (, uint128 claimed) = stateOf(config);
        equal(claimed, 400, "claimed");
    }

    function test_ASignedRefundIsVoidAfterAnyOtherRefund() public {
        depositInto(config, 1000);
        bytes memory signature = sign(enclaveKey, batch.getRefundDigest(id, 0, 300));
        vm.prank(address(payee));
        batch.refund(config, 100);
        vm.expectRevert(Batch.InvalidRefundNonce.selector);
        batch.refundWithSignature(config, 300, 0, signature);
        vm.expectRevert(Batch.InvalidSignature.selector);
        batch.refundWithSignature(config, 300, 1, signature);
        vm.expectRevert(Batch.ZeroRefund.selector);
        vm.prank(address(payee));
        batch.refund(config, 0);
        (uint128 balance,) = stateOf(config);
        equal(balance, 900, "balance");
    }

    function test_AnEmptyRefundStillTakesTheNonce() public {
        depositInto(config, 500);
        claimAsEnclave(one(voucherFor(config, 500, 500)));
        refundAsEnclave(config, 10);
        equal(batch.refundNonce(id), 1, "nonce");
        equal(usdc.balanceOf(payer), 1e24 - 500, "payer");
    }

    function test_AChannelIsCreatedAgainAfterItWasDrained() public {
        vm.expectEmit();
        emit Batch.ChannelCreated(id, config);
        vm.expectEmit();
        emit Batch.Deposited(id, address(this), 500, 500);
        depositInto(config, 500);
        vm.expectEmit();
        emit Batch.ChannelClosed(id, config);
        vm.expectEmit();
        emit Batch.Refunded(id, address(this), 500);
        refundAsEnclave(config, 500);
        vm.expectEmit();
        emit Batch.ChannelCreated(id, config);
        depositInto(config, 500);
    }

    function test_AChannelIsCreatedAndClosedOnlyWhenItIs() public {
        bytes32 created = Batch.ChannelCreated.selector;
        bytes32 closed = Batch.ChannelClosed.selector;
        vm.recordLogs();
        depositInto(config, 500);
        countEvents(created, 1, closed, 0);
        depositInto(config, 500);
        countEvents(created, 0, closed, 0);
        refundAsEnclave(config, 300);
        countEvents(created, 0, closed, 0);
        refundAsEnclave(config, 700);
        countEvents(created, 0, closed, 1);
        refundAsEnclave(config, 1);
        countEvents(created, 0, closed, 0);
        depositInto(config, 500);
        claimAsEnclave(one(voucherFor(config, 200, 200)));
        countEvents(created, 1, closed, 0);
        refundAsEnclave(config, 300); // drained, but it has a history
        countEvents(created, 0, closed, 0);
        depositInto(config, 500);
        countEvents(created, 0, closed, 0);
        batch.settle(address(payee), address(usdc));
        countEvents(Batch.Settled.selector, 1, closed, 0);
        batch.settle(address(payee), address(usdc));
        countEvents(Batch.Settled.selector, 0, closed, 0);
    }

    function test_MulticallRefundsWhatIsNotClaimed() public {
        depositInto(config, 1000);
        VoucherClaim[] memory rows = one(voucherFor(config, 400, 400));
        bytes[] memory calls = new bytes[](2);
        calls[0] = abi.encodeCall(batch.claimWithSignature, (rows, sign(enclaveKey, batch.getClaimBatchDigest(rows))));
        calls[1] = abi.encodeCall(
            batch.refundWithSignature,
            (config, type(uint128).max, 0, sign(enclaveKey, batch.getRefundDigest(id, 0, type(uint128).max)))
        );
        batch.multicall(calls);
        (uint128 balance, uint128 claimed) = stateOf(config);
        equal(claimed, 400, "claimed");
        equal(balance, 400, "balance");
    }

    function test_AVoucherOfAnotherChainOrContractIsWorthless() public {
        depositInto(config, 1000);
        Batch clone = Batch(deploy("x402BatchSettlement", ""));
        VoucherClaim[] memory rows = one(voucherFor(config, 500, 400));
        rows[0].signature = sign(PAYER_KEY, clone.getVoucherDigest(clone.getChannelId(config), 500));
        bytes memory signature = sign(enclaveKey, batch.getClaimBatchDigest(rows));
        vm.expectRevert(Batch.InvalidSignature.selector);
        batch.claimWithSignature(rows, signature);
        holds(clone.getChannelId(config) != id, "a clone has other channels");
    }

    function test_APayerWithoutAuthorizerSignsForItself() public {
        config.payerAuthorizer = address(0);
        depositInto(config, 1000);
        claimAsEnclave(one(voucherFor(config, 500, 400)));
        (, uint128 claimed) = stateOf(config);
        equal(claimed, 400, "claimed");
    }

    function test_APayerThatIsAContractAnswersByEip1271() public {
        config.payer = address(new ContractWallet(payer, ""));
        config.payerAuthorizer = address(0);
        fund(1000);
        claimAsEnclave(one(voucherFor(config, 500, 400)));
        (, uint128 claimed) = stateOf(config);
        equal(claimed, 400, "claimed");
        VoucherClaim[] memory rows = one(voucherFor(config, 900, 800));
        rows[0].signature = sign(enclaveKey, keccak256("not the owner"));
        bytes memory signature = sign(enclaveKey, batch.getClaimBatchDigest(rows));
        vm.expectRevert(Batch.InvalidSignature.selector);
        batch.claimWithSignature(rows, signature);
    }

    function test_ADishonestWalletContractIsNotBelieved() public {
        bytes[3] memory answers =
            [bytes(hex"1626ba7e"), abi.encode(bytes4(0xffffffff)), abi.encode(uint256(0x1626ba7e))];
        for (uint256 i = 0; i < answers.length; ++i) {
            config.payer = address(new ContractWallet(payer, answers[i]));
            config.payerAuthorizer = address(0);
            fund(1000);
            VoucherClaim[] memory rows = one(voucherFor(config, 500, 400));
            bytes memory signature = sign(enclaveKey, batch.getClaimBatchDigest(rows));
            vm.expectRevert(Batch.InvalidSignature.selector);
            batch.claimWithSignature(rows, signature);
        }
    }

    function countEvents(bytes32 one_, uint256 times, bytes32 other, uint256 otherTimes) private {
        uint256 found;
        uint256 otherFound;
        Vm.Log[] memory logs = vm.getRecordedLogs();
        for (uint256 i = 0; i < logs.length; ++i) {
            if (logs[i].topics[0] == one_) ++found;
            if (logs[i].topics[0] == other) ++otherFound;
        }
        equal(found, times, "events");
        equal(otherFound, otherTimes, "other events");
    }

    function fund(uint128 amount) private {
        batch.deposit(config, amount, address(this), "");
    }

    /// @dev A collector of our own, for payers that sign no deposit.
    function collect(address, address, uint256 amount, bytes32, bytes calldata) external {
        usdc.mint(msg.sender, amount);
    }
}
