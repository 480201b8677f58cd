// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Multicall} from "@openzeppelin/contracts/utils/Multicall.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";
import {ChannelConfig, ChannelHashes, VoucherClaim} from "./ChannelHashes.sol";
import {IDepositCollector} from "./IDepositCollector.sol";

/// @title Payment channels of x402 `batch-settlement`
/// @notice A payer deposits once and signs cumulative vouchers; the receiver's side claims up to the newest ceiling and
///         is paid in one transfer. What is not claimed goes back to the payer: by a refund at once, or after the
///         withdraw delay without anybody's consent.
/// @dev Per token, with ordinary tokens: tokens held = sum over channels of (balance - totalClaimed)
///      + sum over receivers of (totalClaimed - totalSettled), plus what somebody sent here by mistake.
contract x402BatchSettlement is ChannelHashes, Multicall, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;

    /// @dev totalClaimed <= balance, always. `balance` is deposits minus refunds and withdrawals; claims stay in it.
    struct Channel {
        uint128 balance;
        uint128 totalClaimed;
    }

    struct PendingWithdrawal {
        uint128 amount;
        uint40 initiatedAt;
    }

    struct Receiver {
        uint128 totalClaimed;
        uint128 totalSettled;
    }

    uint256 public constant MIN_WITHDRAW_DELAY = 15 minutes;
    uint256 public constant MAX_WITHDRAW_DELAY = 30 days;

    mapping(bytes32 channelId => Channel) public channels;
    mapping(bytes32 channelId => PendingWithdrawal) public pendingWithdrawals;
    /// @notice What the next signed refund must carry.
    mapping(bytes32 channelId => uint256) public refundNonce;
    mapping(address receiver => mapping(address token => Receiver)) public receivers;

    event ChannelCreated(bytes32 indexed channelId, ChannelConfig config);
    event ChannelClosed(bytes32 indexed channelId, ChannelConfig config);
    event Deposited(bytes32 indexed channelId, address indexed sender, uint128 amount, uint128 newBalance);
    event Claimed(bytes32 indexed channelId, address indexed sender, uint128 claimAmount, uint128 newTotalClaimed);
    event Settled(address indexed receiver, address indexed token, address indexed sender, uint128 amount);
    event Refunded(bytes32 indexed channelId, address indexed sender, uint128 amount);
    event WithdrawInitiated(bytes32 indexed channelId, uint128 amount, uint40 finalizeAfter);
    event WithdrawFinalized(bytes32 indexed channelId, address indexed sender, uint128 amount);

    error InvalidChannel();
    error ZeroDeposit();
    error DepositOverflow();
    error InvalidSignature();
    error NotReceiverAuthorizer();
    error NotAuthorizedToClaim();
    error NotAuthorizedToRefund();
    error ClaimExceedsCeiling();
    error ClaimExceedsBalance();
    error WithdrawalAlreadyPending();
    error WithdrawalNotPending();
    error NotAuthorizedToFinalizeWithdraw();
    error WithdrawDelayNotElapsed();
    error NothingToWithdraw();
    error WithdrawAmountExceedsAvailable();
    error WithdrawDelayOutOfRange();
    error EmptyBatch();
    error DepositCollectionFailed();
    error InvalidCollector();
    error InvalidRefundNonce();
    error ZeroRefund();

    /// @notice Adds to a channel, and creates it when it is empty. Anybody may send it: the payer's consent is in
    ///         `collectorData`, and the collector is only believed when the tokens have arrived.
    function deposit(ChannelConfig calldata config, uint128 amount, address collector, bytes calldata collectorData)
        external
        nonReentrant
    {
        _requireValid(config);
        if (amount == 0) revert ZeroDeposit();
        if (collector == address(0)) revert InvalidCollector();
        bytes32 channelId = _channelId(_domainSeparator(), config);
        uint128 oldBalance = channels[channelId].balance;
        if (amount > type(uint128).max - oldBalance) revert DepositOverflow();

        uint256 held = IERC20(config.token).balanceOf(address(this));
        IDepositCollector(collector).collect(config.payer, config.token, amount, channelId, collectorData);
        if (IERC20(config.token).balanceOf(address(this)) != held + amount) revert DepositCollectionFailed();

        // Nothing else could write in between: every function that writes has the reentrancy guard.
        uint128 newBalance = oldBalance + amount;
        channels[channelId].balance = newBalance;
        if (oldBalance == 0) emit ChannelCreated(channelId, config);
        emit Deposited(channelId, msg.sender, amount, newBalance);
    }

    /// @notice Claims for the receiver or the receiver authorizer of every row. A row at or below what is claimed
    ///         already is skipped; any other row that is wrong reverts the whole batch.
    function claim(VoucherClaim[] calldata voucherClaims) external nonReentrant {
        if (voucherClaims.length == 0) revert EmptyBatch();
        bytes32 separator = _domainSeparator();
        for (uint256 i = 0; i < voucherClaims.length; ++i) {
            ChannelConfig calldata config = voucherClaims[i].voucher.channel;
            if (msg.sender != config.receiver && msg.sender != config.receiverAuthorizer) {
                revert NotAuthorizedToClaim();
            }
            _claimRow(separator, _channelId(separator, config), voucherClaims[i]);
        }
    }

    /// @notice Claims for anybody who brings the signature of the one receiver authorizer of all rows.
    function claimWithSignature(VoucherClaim[] calldata voucherClaims, bytes calldata authorizerSignature)
        external
        nonReentrant
    {
        uint256 count = voucherClaims.length;
        if (count == 0) revert EmptyBatch();
        address authorizer = voucherClaims[0].voucher.channel.receiverAuthorizer;
        bytes32 separator = _domainSeparator();
        bytes32[] memory channelIds = new bytes32[](count);
        bytes32[] memory entries = new bytes32[](count);
        for (uint256 i = 0; i < count; ++i) {
            ChannelConfig calldata config = voucherClaims[i].voucher.channel;
            if (config.receiverAuthorizer != authorizer) revert NotReceiverAuthorizer();
            channelIds[i] = _channelId(separator, config);
            entries[i] = _claimEntryHash(channelIds[i], voucherClaims[i]);
        }
        _requireSignature(authorizer, _claimBatchDigest(separator, entries), authorizerSignature);
        for (uint256 i = 0; i < count; ++i) {
            _claimRow(separator, channelIds[i], voucherClaims[i]);
        }
    }

    /// @notice Pays a receiver what was claimed for it and not paid yet. Anybody may send it.
    function settle(address receiver, address token) external nonReentrant {
        Receiver storage account = receivers[receiver][token];
        uint128 claimed = account.totalClaimed;
        uint128 amount = claimed - account.totalSettled;
        if (amount == 0) return;
        account.totalSettled = claimed;
        emit Settled(receiver, token, msg.sender, amount);
        IERC20(token).safeTransfer(receiver, amount);
    }

    /// @notice Gives back up to `amount` of what is not claimed, by the receiver or its authorizer.
    function refund(ChannelConfig calldata config, uint128 amount) external nonReentrant {
        if (msg.sender != config.receiver && msg.sender != config.receiverAuthorizer) {
            revert NotAuthorizedToRefund();
        }
        _refund(_channelId(_domainSeparator(), config), config, amount);
    }

    /// @notice As refund, for anybody who brings the receiver authorizer's signature over the current nonce.
    function refundWithSignature(
        ChannelConfig calldata config,
        uint128 amount,
        uint256 nonce,
        bytes calldata receiverAuthorizerSignature
    ) external nonReentrant {
        bytes32 separator = _domainSeparator();
        bytes32 channelId = _channelId(separator, config);
        if (nonce != refundNonce[channelId]) revert InvalidRefundNonce();
        bytes32 digest = _refundDigest(separator, channelId, nonce, amount);
        _requireSignature(config.receiverAuthorizer, digest, receiverAuthorizerSignature);
        _refund(channelId, config, amount);
    }

    /// @notice The payer's way out without consent: announces the withdrawal, which gives the receiver's side
    ///         `withdrawDelay` seconds to claim.
    function initiateWithdraw(ChannelConfig calldata config, uint128 amount) external nonReentrant {
        _requirePayerSide(config);
        if (amount == 0) revert NothingToWithdraw();
        bytes32 channelId = _channelId(_domainSeparator(), config);
        PendingWithdrawal storage pending = pendingWithdrawals[channelId];
        if (pending.initiatedAt != 0) revert WithdrawalAlreadyPending();
        Channel storage channel = channels[channelId];
        if (amount > channel.balance - channel.totalClaimed) revert WithdrawAmountExceedsAvailable();
        pending.amount = amount;
        pending.initiatedAt = uint40(block.timestamp);
        emit WithdrawInitiated(channelId, amount, uint40(block.timestamp) + config.withdrawDelay);
    }

    /// @notice Pays an announced withdrawal to the payer, capped to what is not claimed. When nothing is left it ends
    ///         with 0, so that a later deposit cannot be taken out by an old announcement.
    function finalizeWithdraw(ChannelConfig calldata config) external nonReentrant {
        _requirePayerSide(config);
        bytes32 channelId = _channelId(_domainSeparator(), config);
        PendingWithdrawal memory pending = pendingWithdrawals[channelId];
        if (pending.initiatedAt == 0) revert WithdrawalNotPending();
        if (block.timestamp < uint256(pending.initiatedAt) + config.withdrawDelay) revert WithdrawDelayNotElapsed();
        delete pendingWithdrawals[channelId];
        uint128 paid = _takeUnclaimed(channelId, config, pending.amount);
        emit WithdrawFinalized(channelId, msg.sender, paid);
        if (paid != 0) IERC20(config.token).safeTransfer(config.payer, paid);
    }

    function _claimRow(bytes32 separator, bytes32 channelId, VoucherClaim calldata row) private {
        Channel storage channel = channels[channelId];
        uint128 claimed = channel.totalClaimed;
        uint128 newTotal = row.totalClaimed;
        if (newTotal <= claimed) return;
        if (newTotal > row.voucher.maxClaimableAmount) revert ClaimExceedsCeiling();
        if (newTotal > channel.balance) revert ClaimExceedsBalance();
        ChannelConfig calldata config = row.voucher.channel;
        bytes32 digest = _voucherDigest(separator, channelId, row.voucher.maxClaimableAmount);
        if (config.payerAuthorizer == address(0)) {
            _requireSignature(config.payer, digest, row.signature);
        } else if (ECDSA.recoverCalldata(digest, row.signature) != config.payerAuthorizer) {
            revert InvalidSignature();
        }
        uint128 amount = newTotal - claimed;
        channel.totalClaimed = newTotal;
        receivers[config.receiver][config.token].totalClaimed += amount;
        emit Claimed(channelId, msg.sender, amount, newTotal);
    }

    /// @dev The nonce rises first, also when nothing is left to give: a refund signed before is void in any case.
    function _refund(bytes32 channelId, ChannelConfig calldata config, uint128 amount) private {
        if (amount == 0) revert ZeroRefund();
        ++refundNonce[channelId];
        uint128 paid = _takeUnclaimed(channelId, config, amount);
        if (paid == 0) return;
        PendingWithdrawal storage pending = pendingWithdrawals[channelId];
        if (pending.initiatedAt != 0) {
            if (paid >= pending.amount) delete pendingWithdrawals[channelId];
            else pending.amount -= paid;
        }
        emit Refunded(channelId, msg.sender, paid);
        IERC20(config.token).safeTransfer(config.payer, paid);
    }

    /// @dev Takes up to `amount` out of what is not claimed; the caller sends it.
    function _takeUnclaimed(bytes32 channelId, ChannelConfig calldata config, uint128 amount)
        private
        returns (uint128 taken)
    {
        Channel storage channel = channels[channelId];
        uint128 balance = channel.balance;
        uint128 unclaimed = balance - channel.totalClaimed;
        taken = amount < unclaimed ? amount : unclaimed;
        if (taken == 0) return 0;
        channel.balance = balance - taken;
        if (balance == taken) emit ChannelClosed(channelId, config);
    }

    function _requireValid(ChannelConfig calldata config) private pure {
        if (
            config.payer == address(0) || config.receiver == address(0) || config.receiverAuthorizer == address(0)
                || config.token == address(0)
        ) revert InvalidChannel();
        if (config.withdrawDelay < MIN_WITHDRAW_DELAY || config.withdrawDelay > MAX_WITHDRAW_DELAY) {
            revert WithdrawDelayOutOfRange();
        }
    }

    /// @dev The ABI has one error for both steps of a withdrawal.
    function _requirePayerSide(ChannelConfig calldata config) private view {
        if (msg.sender != config.payer && msg.sender != config.payerAuthorizer) {
            revert NotAuthorizedToFinalizeWithdraw();
        }
    }

    /// @dev An account without code signs by ECDSA (low s, v 27 or 28); one with code answers by EIP-1271.
    function _requireSignature(address signer, bytes32 digest, bytes calldata signature) private view {
        if (!SignatureChecker.isValidSignatureNowCalldata(signer, digest, signature)) revert InvalidSignature();
    }
}
