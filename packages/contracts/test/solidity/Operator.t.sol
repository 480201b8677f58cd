// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {AttestedKeys} from "../../src/solidity/operator/AttestedKeys.sol";
import {ChannelAuthorizer} from "../../src/solidity/operator/ChannelAuthorizer.sol";
import {GatewayPayee} from "../../src/solidity/operator/GatewayPayee.sol";
import {IKeyRegistry} from "../../src/solidity/operator/IKeyRegistry.sol";
import {KeyRegistry} from "../../src/solidity/operator/KeyRegistry.sol";
import {RegistryTimelock} from "../../src/solidity/operator/RegistryTimelock.sol";
import {UptoSettler} from "../../src/solidity/operator/UptoSettler.sol";
import {ChannelConfig, VoucherClaim} from "../../src/solidity/x402/ChannelHashes.sol";
import {x402BatchSettlement as Batch} from "../../src/solidity/x402/x402BatchSettlement.sol";
import {x402UptoPermit2Proxy} from "../../src/solidity/x402/x402UptoPermit2Proxy.sol";
import {Deployed} from "./Deployed.sol";

/// @notice Who may say that a key is attested, when its word counts, and what the operator can and cannot do.
contract OperatorTest is Deployed {
    bytes4 private constant YES = 0x1626ba7e;
    bytes4 private constant NO = 0xffffffff;
    address private key;

    function setUp() public {
        deployAll();
        key = vm.addr(enclaveKey);
    }

    function testFuzz_AKeyCountsFromItsBeginningToItsEndPlusGrace(
        uint40 from,
        uint40 length,
        uint256 time,
        uint32 grace
    ) public {
        from = uint40(bound(from, START, START + 10 days));
        length = uint40(bound(length, 1, 1 days));
        time = bound(time, START - 1 days, START + 20 days);
        registry.registerKey(GATEWAY, address(0x77), from, from + length, keccak256("k"));
        bool expected = time >= from && time < uint256(from) + length + grace;
        holds(registry.isTrusted(GATEWAY, address(0x77), time, grace) == expected, "trusted");
        holds(!registry.isTrusted(keccak256("other"), address(0x77), time, grace), "other gateway");
        holds(!registry.isTrusted(GATEWAY, address(0x78), time, grace), "other key");
    }

    function testFuzz_ARevocationEndsAKeyAsOfItsMomentAndNeverForItsPast(uint40 since, uint256 time) public {
        since = uint40(bound(since, START - 10, START + 1 days + 10));
        time = bound(time, START, START + 1 days - 1);
        vm.prank(guardian);
        registry.revokeKey(GATEWAY, key, since);
        holds(registry.isTrusted(GATEWAY, key, time, 0) == (time < since), "trusted");
        vm.expectRevert(KeyRegistry.AlreadyRevoked.selector);
        registry.revokeKey(GATEWAY, key, since);
        registry.revokeKey(GATEWAY, key, since - 1);
        vm.expectRevert(KeyRegistry.KeyAlreadyRegistered.selector);
        registry.registerKey(GATEWAY, key, uint40(START), uint40(START + 1), keccak256("again"));
    }

    function test_RegistrationsThatMakeNoSenseAreRefused() public {
        vm.expectRevert(KeyRegistry.InvalidInterval.selector);
        registry.registerKey(GATEWAY, operator, uint40(START), uint40(START), keccak256("k"));
        vm.expectRevert(KeyRegistry.InvalidInterval.selector);
        registry.registerKey(GATEWAY, operator, uint40(START), uint40(START + 1 days + 1), keccak256("k"));
        vm.expectRevert(KeyRegistry.InvalidInterval.selector);
        registry.registerKey(GATEWAY, operator, uint40(START - 1), uint40(START), keccak256("k"));
        vm.expectRevert(KeyRegistry.InvalidKey.selector);
        registry.registerKey(0, operator, uint40(START), uint40(START + 1), keccak256("k"));
        vm.expectRevert(KeyRegistry.InvalidKey.selector);
        registry.registerKey(GATEWAY, address(0), uint40(START), uint40(START + 1), keccak256("k"));
        vm.expectRevert(KeyRegistry.InvalidKey.selector);
        registry.registerKey(GATEWAY, operator, uint40(START), uint40(START + 1), 0);
        vm.expectRevert(KeyRegistry.KeyNotRegistered.selector);
        registry.revokeKey(GATEWAY, operator, 1);
        vm.expectRevert(KeyRegistry.InvalidInterval.selector);
        registry.revokeKey(GATEWAY, key, 0);
    }

    function test_TheGuardianOnlyRevokesAndStrangersDoNothing() public {
        vm.startPrank(guardian);
        vm.expectRevert(KeyRegistry.NotRegistrar.selector);
        registry.registerKey(GATEWAY, operator, uint40(START), uint40(START + 1), keccak256("k"));
        vm.expectRevert(abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, guardian));
        registry.setRegistrar(guardian);
        vm.stopPrank();
        vm.startPrank(operator);
        vm.expectRevert(KeyRegistry.NotAllowedToRevoke.selector);
        registry.revokeKey(GATEWAY, key, 1);
        vm.expectRevert(abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, operator));
        registry.setGuardian(operator);
        vm.stopPrank();
        vm.expectRevert(KeyRegistry.OwnershipCannotBeRenounced.selector);
        registry.renounceOwnership();
        vm.expectRevert(KeyRegistry.NotRegistrar.selector);
        registry.setRegistrar(address(0));
        registry.setRegistrar(operator);
        vm.expectRevert(KeyRegistry.NotRegistrar.selector);
        registry.registerKey(GATEWAY, operator, uint40(START), uint40(START + 1), keccak256("k"));
        registry.setGuardian(operator);
        vm.prank(operator);
        registry.revokeKey(GATEWAY, key, 1);
    }

    function test_BehindTheTimelockAKeyIsSeenBeforeItCounts() public {
        address[] memory proposers = new address[](1);
        proposers[0] = operator;
        RegistryTimelock timelock =
            RegistryTimelock(payable(deploy("RegistryTimelock", abi.encode(2 hours, proposers))));
        KeyRegistry slow = KeyRegistry(deploy("KeyRegistry", abi.encode(timelock, timelock, guardian)));
        bytes memory call = abi.encodeCall(
            slow.registerKey, (GATEWAY, key, uint40(START), uint40(START + 1 days), keccak256("keyset"))
        );
        vm.expectRevert();
        timelock.schedule(address(slow), 0, call, 0, 0, 2 hours);
        vm.prank(operator);
        vm.expectRevert();
        timelock.schedule(address(slow), 0, call, 0, 0, 2 hours - 1);
        vm.prank(operator);
        timelock.schedule(address(slow), 0, call, 0, 0, 2 hours);
        vm.warp(START + 2 hours - 1);
        vm.expectRevert();
        timelock.execute(address(slow), 0, call, 0, 0);
        holds(!slow.isTrusted(GATEWAY, key, block.timestamp, 0), "not yet");
        vm.warp(START + 2 hours);
        timelock.execute(address(slow), 0, call, 0, 0);
        holds(slow.isTrusted(GATEWAY, key, block.timestamp, 0), "now");
        holds(!timelock.hasRole(timelock.DEFAULT_ADMIN_ROLE(), address(this)), "no other administrator");
    }

    function test_TheAuthorizerVouchesForAttestedKeysOnly() public {
        bytes32 digest = keccak256("digest");
        bytes memory signature = sign(enclaveKey, digest);
        holds(authorizer.isValidSignature(digest, signature) == YES, "attested");
        holds(authorizer.isValidSignature(keccak256("other"), signature) == NO, "other digest");
        holds(authorizer.isValidSignature(digest, sign(PAYER_KEY, digest)) == NO, "other key");
        holds(authorizer.isValidSignature(digest, "") == NO, "no signature");
        holds(authorizer.isValidSignature(digest, abi.encodePacked(signature, uint8(0))) == NO, "long signature");
        vm.warp(START + 3 days - 1);
        holds(authorizer.isValidSignature(digest, signature) == YES, "in the grace");
        vm.warp(START + 3 days);
        holds(authorizer.isValidSignature(digest, signature) == NO, "after the grace");
        vm.warp(START + 1);
        vm.prank(guardian);
        registry.revokeKey(GATEWAY, key, uint40(START + 1));
        holds(authorizer.isValidSignature(digest, signature) == NO, "revoked");
        ChannelAuthorizer other = new ChannelAuthorizer(registry, keccak256("other gateway"));
        vm.warp(START);
        holds(other.isValidSignature(digest, signature) == NO, "another gateway's");
    }

    function test_KeysRotateWhileTheChannelStays() public {
        ChannelConfig memory config = channelOf(0);
        depositInto(config, 1000);
        claimAsEnclave(one(voucherFor(config, 100, 100)));
        for (uint128 day = 1; day <= 5; ++day) {
            vm.warp(START + day * 1 days);
            rotateKey();
            claimAsEnclave(one(voucherFor(config, 100 + day, 100 + day)));
        }
        (, uint128 claimed) = stateOf(config);
        equal(claimed, 105, "claimed");
        uint256 newest = enclaveKey;
        enclaveKey = uint256(keccak256(abi.encode("enclave", uint256(0)))); // the first one, long gone
        VoucherClaim[] memory rows = one(voucherFor(config, 999, 999));
        bytes memory signature = sign(enclaveKey, batch.getClaimBatchDigest(rows));
        vm.expectRevert(Batch.InvalidSignature.selector);
        batch.claimWithSignature(rows, signature);
        enclaveKey = newest;
    }

    function test_TheOperatorCannotClaimWithoutTheEnclave() public {
        ChannelConfig memory config = channelOf(0);
        depositInto(config, 1000);
        VoucherClaim[] memory rows = one(voucherFor(config, 1000, 1000));
        bytes memory signature = sign(uint256(keccak256("operator")), batch.getClaimBatchDigest(rows));
        vm.startPrank(operator);
        vm.expectRevert(Batch.NotAuthorizedToClaim.selector);
        batch.claim(rows);
        vm.expectRevert(Batch.InvalidSignature.selector);
        batch.claimWithSignature(rows, signature);
        // The payee answers to nothing but its six functions: no fallback, no call, no delegatecall.
        (bool claimed,) = address(payee).call(abi.encodeCall(batch.claim, (rows)));
        holds(!claimed, "the payee has no claim");
        (bool refunded,) = address(payee).call(abi.encodeCall(batch.refund, (config, 1)));
        holds(!refunded, "the payee has no refund");
        (bool authorized,) = address(authorizer).call(abi.encodeCall(batch.claim, (rows)));
        holds(!authorized, "the authorizer has no claim");
    }

    function test_ThePayeePaysItsOwnerOnlyAndNeverLosesIt() public {
        usdc.mint(address(payee), 100);
        payee.forward(address(usdc));
        equal(usdc.balanceOf(operator), 100, "owner");
        vm.prank(operator);
        payee.transferOwnership(guardian);
        equal(payee.owner(), operator, "until accepted");
        vm.prank(guardian);
        payee.acceptOwnership();
        usdc.mint(address(payee), 50);
        payee.forward(address(usdc));
        equal(usdc.balanceOf(guardian), 50, "new owner");
        vm.prank(guardian);
        vm.expectRevert(GatewayPayee.OwnershipCannotBeRenounced.selector);
        payee.renounceOwnership();
    }

    function test_ContractsOverNothingAreNotBuilt() public {
        vm.expectRevert(AttestedKeys.InvalidRegistry.selector);
        new ChannelAuthorizer(IKeyRegistry(operator), GATEWAY);
        vm.expectRevert(AttestedKeys.InvalidRegistry.selector);
        new ChannelAuthorizer(registry, 0);
        vm.expectRevert(UptoSettler.InvalidProxy.selector);
        new UptoSettler(registry, GATEWAY, x402UptoPermit2Proxy(operator));
    }
}
