// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {TestUSDC} from "../../src/solidity/TestUSDC.sol";
import {ChannelAuthorizer} from "../../src/solidity/operator/ChannelAuthorizer.sol";
import {GatewayPayee} from "../../src/solidity/operator/GatewayPayee.sol";
import {KeyRegistry} from "../../src/solidity/operator/KeyRegistry.sol";
import {UptoSettler} from "../../src/solidity/operator/UptoSettler.sol";
import {ChannelConfig, Voucher, VoucherClaim} from "../../src/solidity/x402/ChannelHashes.sol";
import {ERC3009DepositCollector} from "../../src/solidity/x402/ERC3009DepositCollector.sol";
import {Permit2DepositCollector} from "../../src/solidity/x402/Permit2DepositCollector.sol";
import {x402BatchSettlement} from "../../src/solidity/x402/x402BatchSettlement.sol";
import {x402ExactPermit2Proxy} from "../../src/solidity/x402/x402ExactPermit2Proxy.sol";
import {x402UptoPermit2Proxy} from "../../src/solidity/x402/x402UptoPermit2Proxy.sol";
import {Checks} from "./Vm.sol";

/// @notice All contracts at work, a payer with money, and the signatures that clients and enclaves make.
abstract contract Deployed is Checks {
    address internal constant PERMIT2 = 0x000000000022D473030F116dDEE9F6B43aC78BA3;
    bytes32 internal constant GATEWAY = keccak256("gateway");
    uint256 internal constant PAYER_KEY = uint256(keccak256("payer"));
    uint256 internal constant START = 1_790_000_000;

    TestUSDC internal usdc;
    x402BatchSettlement internal batch;
    x402ExactPermit2Proxy internal exactProxy;
    x402UptoPermit2Proxy internal uptoProxy;
    ERC3009DepositCollector internal byAuthorization;
    Permit2DepositCollector internal byPermit2;
    KeyRegistry internal registry;
    ChannelAuthorizer internal authorizer;
    GatewayPayee internal payee;
    UptoSettler internal settler;
    address internal payer;
    /// @dev The settlement key of the enclave of the day.
    uint256 internal enclaveKey;
    address internal operator = address(0x0b0b);
    address internal guardian = address(0x9a9a);
    uint256 private depositSalt;

    function deployAll() internal {
        vm.warp(START);
        placePermit2();
        usdc = TestUSDC(deploy("TestUSDC", ""));
        batch = x402BatchSettlement(deploy("x402BatchSettlement", ""));
        exactProxy = x402ExactPermit2Proxy(deploy("x402ExactPermit2Proxy", abi.encode(PERMIT2)));
        uptoProxy = x402UptoPermit2Proxy(deploy("x402UptoPermit2Proxy", abi.encode(PERMIT2)));
        byAuthorization = ERC3009DepositCollector(deploy("ERC3009DepositCollector", abi.encode(batch)));
        byPermit2 = Permit2DepositCollector(deploy("Permit2DepositCollector", abi.encode(batch, PERMIT2)));
        registry = KeyRegistry(deploy("KeyRegistry", abi.encode(this, this, guardian)));
        authorizer = ChannelAuthorizer(deploy("ChannelAuthorizer", abi.encode(registry, GATEWAY)));
        settler = UptoSettler(deploy("UptoSettler", abi.encode(registry, GATEWAY, uptoProxy)));
        payee = GatewayPayee(deploy("GatewayPayee", abi.encode(operator)));
        payer = vm.addr(PAYER_KEY);
        rotateKey();
        usdc.mint(payer, 1e24);
        vm.prank(payer);
        usdc.approve(PERMIT2, type(uint256).max);
    }

    /// @dev From the compiled artifact: `new` would compile every contract again into every test.
    function deploy(string memory name, bytes memory arguments) internal returns (address) {
        return vm.deployCode(string.concat(name, ".sol:", name), arguments);
    }

    /// @dev Runs the real creation code at the canonical address, so that its constructor sees that address.
    function placePermit2() internal {
        string memory hexText = vm.readFile("packages/contracts/src/solidity/permit2/permit2.creation.hex");
        vm.etch(PERMIT2, vm.parseBytes(string.concat("0x", trimmed(hexText))));
        (bool success, bytes memory code) = PERMIT2.call("");
        holds(success && code.length > 9000, "Permit2 constructor");
        vm.etch(PERMIT2, code);
    }

    /// @dev A new enclave with a new key; the channels stay.
    function rotateKey() internal {
        enclaveKey = uint256(keccak256(abi.encode("enclave", enclaveKey)));
        uint40 from = uint40(block.timestamp);
        registry.registerKey(GATEWAY, vm.addr(enclaveKey), from, from + 1 days, keccak256("keyset"));
    }

    function channelOf(bytes32 salt) internal view returns (ChannelConfig memory) {
        return ChannelConfig(payer, payer, address(payee), address(authorizer), address(usdc), 1 hours, salt);
    }

    function depositInto(ChannelConfig memory config, uint128 amount) internal {
        batch.deposit(config, amount, address(byAuthorization), authorizationFor(config, amount, ++depositSalt));
    }

    /// @dev collectorData of a deposit by EIP-3009.
    function authorizationFor(ChannelConfig memory config, uint128 amount, uint256 salt)
        internal
        view
        returns (bytes memory)
    {
        bytes32 nonce = keccak256(abi.encode(batch.getChannelId(config), salt));
        bytes32 structHash = keccak256(
            abi.encode(
                usdc.RECEIVE_WITH_AUTHORIZATION_TYPEHASH(),
                payer,
                address(byAuthorization),
                uint256(amount),
                uint256(0),
                type(uint256).max,
                nonce
            )
        );
        bytes memory signature = sign(PAYER_KEY, typed(usdc.DOMAIN_SEPARATOR(), structHash));
        return abi.encode(uint256(0), type(uint256).max, salt, signature);
    }

    function voucherFor(ChannelConfig memory config, uint128 ceiling, uint128 total)
        internal
        view
        returns (VoucherClaim memory)
    {
        bytes32 digest = batch.getVoucherDigest(batch.getChannelId(config), ceiling);
        return VoucherClaim(Voucher(config, ceiling), sign(PAYER_KEY, digest), total);
    }

    function one(VoucherClaim memory row) internal pure returns (VoucherClaim[] memory rows) {
        rows = new VoucherClaim[](1);
        rows[0] = row;
    }

    function claimAsEnclave(VoucherClaim[] memory rows) internal {
        batch.claimWithSignature(rows, sign(enclaveKey, batch.getClaimBatchDigest(rows)));
    }

    function refundAsEnclave(ChannelConfig memory config, uint128 amount) internal {
        bytes32 id = batch.getChannelId(config);
        uint256 nonce = batch.refundNonce(id);
        bytes memory signature = sign(enclaveKey, batch.getRefundDigest(id, nonce, amount));
        batch.refundWithSignature(config, amount, nonce, signature);
    }

    /// @dev Balance and total claimed of a channel.
    function stateOf(ChannelConfig memory config) internal view returns (uint128 balance, uint128 claimed) {
        return batch.channels(batch.getChannelId(config));
    }

    function sign(uint256 key, bytes32 digest) internal pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, digest);
        return abi.encodePacked(r, s, v);
    }

    function typed(bytes32 separator, bytes32 structHash) internal pure returns (bytes32) {
        return keccak256(abi.encodePacked(hex"1901", separator, structHash));
    }

    function trimmed(string memory text) private pure returns (string memory) {
        bytes memory bytesOf = bytes(text);
        uint256 length = bytesOf.length;
        while (length > 0 && bytesOf[length - 1] == "\n") --length;
        assembly ("memory-safe") {
            mstore(bytesOf, length)
        }
        return string(bytesOf);
    }
}
