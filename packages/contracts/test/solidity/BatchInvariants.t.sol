// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ChannelConfig, VoucherClaim} from "../../src/solidity/x402/ChannelHashes.sol";
import {x402BatchSettlement as Batch} from "../../src/solidity/x402/x402BatchSettlement.sol";
import {Deployed} from "./Deployed.sol";

/// @notice Payers, a receiver's side and strangers, doing everything in any order, and the books they should get.
contract ChannelActors is Deployed {
    uint256 public constant CHANNELS = 4;

    /// @dev What each channel was given, what left it again, and the highest ceiling that its payer ever signed.
    uint256[CHANNELS] public deposited;
    uint256[CHANNELS] public returned;
    uint256[CHANNELS] public ceiling;
    uint256 public paidOut;
    uint256 public donated;
    uint256 public claims;
    uint256 public settlements;
    uint256 public exits;
    uint256 private authorizationSalt;

    constructor() {
        deployAll();
    }

    function deposit(uint256 which, uint128 amount) external {
        (uint256 i, ChannelConfig memory config) = pick(which);
        amount = uint128(bound(amount, 1, 1e9));
        usdc.mint(payer, amount);
        batch.deposit(config, amount, address(byAuthorization), authorizationFor(config, amount, ++authorizationSalt));
        deposited[i] += amount;
    }

    /// @dev Rows that may be stale, above the balance or above the ceiling: then nothing must change.
    function claim(uint256 which, uint128 newCeiling, uint128 total) external {
        (uint256 i, ChannelConfig memory config) = pick(which);
        (uint128 balance, uint128 claimed) = stateOf(config);
        newCeiling = uint128(bound(newCeiling, 0, uint256(balance) + 10));
        total = uint128(bound(total, claimed, uint256(newCeiling > claimed ? newCeiling : claimed) + 1));
        VoucherClaim[] memory rows = one(voucherFor(config, newCeiling, total));
        if (newCeiling > ceiling[i]) ceiling[i] = newCeiling;
        bytes memory signature = sign(enclaveKey, batch.getClaimBatchDigest(rows));
        (bool success,) = address(batch).call(abi.encodeCall(batch.claimWithSignature, (rows, signature)));
        (, uint128 after_) = stateOf(config);
        bool allowed = total <= claimed || (total <= newCeiling && total <= balance);
        holds(success == allowed, "a claim succeeds exactly when it may");
        equal(after_, success && total > claimed ? total : claimed, "claimed");
        if (after_ > claimed) ++claims;
    }

    /// @dev The payer's word without the meter's, and the meter's without the payer's.
    function claimWithout(uint256 which, uint128 total, bool withoutPayer) external {
        (, ChannelConfig memory config) = pick(which);
        (uint128 balance, uint128 claimed) = stateOf(config);
        if (balance == claimed) return;
        total = uint128(bound(total, uint256(claimed) + 1, balance));
        VoucherClaim[] memory rows = one(voucherFor(config, balance, total));
        if (withoutPayer) rows[0].signature = sign(enclaveKey, keccak256(abi.encode(total)));
        bytes memory signature = sign(withoutPayer ? enclaveKey : PAYER_KEY, batch.getClaimBatchDigest(rows));
        (bool success,) = address(batch).call(abi.encodeCall(batch.claimWithSignature, (rows, signature)));
        holds(!success, "a claim needs both");
    }

    function settle() external {
        uint256 before = usdc.balanceOf(address(payee));
        batch.settle(address(payee), address(usdc));
        paidOut += usdc.balanceOf(address(payee)) - before;
        ++settlements;
        payee.forward(address(usdc));
    }

    function refund(uint256 which, uint128 amount) external {
        (uint256 i, ChannelConfig memory config) = pick(which);
        amount = uint128(bound(amount, 1, 2e9));
        uint256 before = usdc.balanceOf(payer);
        refundAsEnclave(config, amount);
        returned[i] += usdc.balanceOf(payer) - before;
        ++exits;
    }

    function initiateWithdraw(uint256 which, uint128 amount) external {
        (, ChannelConfig memory config) = pick(which);
        (uint128 balance, uint128 claimed) = stateOf(config);
        (, uint40 since) = batch.pendingWithdrawals(batch.getChannelId(config));
        if (balance == claimed || since != 0) return;
        vm.prank(payer);
        batch.initiateWithdraw(config, uint128(bound(amount, 1, balance - claimed)));
    }

    function finalizeWithdraw(uint256 which) external {
        (uint256 i, ChannelConfig memory config) = pick(which);
        (, uint40 since) = batch.pendingWithdrawals(batch.getChannelId(config));
        uint256 before = usdc.balanceOf(payer);
        vm.prank(payer);
        (bool success,) = address(batch).call(abi.encodeCall(batch.finalizeWithdraw, (config)));
        holds(success == (since != 0 && block.timestamp >= since + 1 hours), "a withdrawal waits for its delay");
        returned[i] += usdc.balanceOf(payer) - before;
        ++exits;
    }

    function wait(uint32 time) external {
        vm.warp(block.timestamp + bound(time, 1, 2 hours));
        if (!registry.isTrusted(GATEWAY, vm.addr(enclaveKey), block.timestamp, 1 days)) rotateKey();
    }

    /// @dev Tokens sent by mistake are nobody's and must not count for anybody.
    function donate(uint128 amount) external {
        amount = uint128(bound(amount, 1, 1e6));
        usdc.mint(address(batch), amount);
        donated += amount;
    }

    function check() external view {
        uint256 totalDeposited;
        uint256 totalReturned;
        uint256 totalClaimed;
        uint256 unclaimed;
        for (uint256 i = 0; i < CHANNELS; ++i) {
            (uint128 balance, uint128 claimed) = stateOf(channelOf(bytes32(i)));
            holds(claimed <= ceiling[i], "claimed <= what the payer signed");
            holds(claimed <= balance, "claimed <= balance");
            equal(balance, deposited[i] - returned[i], "balance = deposits - refunds - withdrawals");
            totalDeposited += deposited[i];
            totalReturned += returned[i];
            totalClaimed += claimed;
            unclaimed += balance - claimed;
        }
        (uint128 receivable, uint128 settled) = batch.receivers(address(payee), address(usdc));
        equal(receivable, totalClaimed, "the receiver has what the channels paid");
        equal(settled, paidOut, "settled = paid out");
        uint256 held = usdc.balanceOf(address(batch));
        equal(held, totalDeposited + donated - totalReturned - paidOut, "held = in - out");
        equal(held - donated, unclaimed + (receivable - settled), "held = owed to payers + owed to the receiver");
        equal(usdc.balanceOf(operator), paidOut, "the payee keeps nothing");
    }

    function pick(uint256 which) private view returns (uint256 i, ChannelConfig memory config) {
        i = which % CHANNELS;
        config = channelOf(bytes32(i));
    }
}

/// @notice After every call: tokens in = tokens out + held, and claimed <= vouchers, claimed <= deposits.
contract BatchInvariantsTest is Deployed {
    ChannelActors private actors;

    function setUp() public {
        actors = new ChannelActors();
    }

    function targetContracts() public view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(actors);
    }

    function invariant_TheBooksBalance() public view {
        actors.check();
    }

    /// @dev A campaign that did nothing proves nothing.
    function afterInvariant() public view {
        holds(actors.claims() > 0 && actors.settlements() > 0 && actors.exits() > 0, "everything happened");
    }
}
