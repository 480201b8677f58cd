// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ISignatureTransfer} from "../../src/solidity/x402/ISignatureTransfer.sol";
import {ChannelConfig, VoucherClaim} from "../../src/solidity/x402/ChannelHashes.sol";
import {x402ExactPermit2Proxy} from "../../src/solidity/x402/x402ExactPermit2Proxy.sol";
import {x402UptoPermit2Proxy} from "../../src/solidity/x402/x402UptoPermit2Proxy.sol";
import {Permit2Payments} from "./Permit2Payments.sol";

/// @notice What each operation costs as a transaction of its own. `gas/payments.json` is committed; a test compares.
/// forge-config: default.isolate = true
/// forge-config: long.isolate = true
contract GasTest is Permit2Payments {
    string private constant GROUP = "payments";

    function setUp() public {
        deployAll();
        // Not the first payment ever: the payee's slots exist.
        usdc.mint(address(payee), 1);
        depositInto(channelOf("first"), 1000);
        claimAsEnclave(one(voucherFor(channelOf("first"), 10, 10)));
        batch.settle(address(payee), address(usdc));
    }

    function test_Deposit() public {
        depositInto(channelOf("new"), 1_000_000);
        vm.snapshotGasLastCall(GROUP, "deposit by EIP-3009, new channel");
        depositInto(channelOf("new"), 1_000_000);
        vm.snapshotGasLastCall(GROUP, "deposit by EIP-3009, top-up");
    }

    function test_ClaimSettleRefund() public {
        claimMany(1, "claim, 1 channel");
        batch.settle(address(payee), address(usdc));
        vm.snapshotGasLastCall(GROUP, "settle");
        refundAsEnclave(channelOf("first"), 100);
        vm.snapshotGasLastCall(GROUP, "refund with signature");
    }

    function test_ClaimHundred() public {
        uint256 gasUsed = claimMany(100, "claim, 100 channels");
        holds(gasUsed / 10_000 <= 300, "at most 300 gas a call at 100 calls per channel");
    }

    function test_ExactAndUpto() public {
        x402ExactPermit2Proxy.Witness memory exactWitness = x402ExactPermit2Proxy.Witness(address(payee), 0);
        ISignatureTransfer.PermitTransferFrom memory permit = permitOf(100, 1);
        bytes memory signature = signExact(permit, exactWitness);
        exactProxy.settle(permit, payer, exactWitness, signature);
        vm.snapshotGasLastCall(GROUP, "exact by Permit2");
        x402UptoPermit2Proxy.Witness memory witness = x402UptoPermit2Proxy.Witness(address(payee), address(settler), 0);
        permit = permitOf(100, 2);
        signature = signUpto(permit, witness);
        bytes memory charge = sign(enclaveKey, settler.getChargeDigest(payer, address(usdc), address(payee), 2, 60));
        settler.settle(permit, 60, payer, witness, signature, charge);
        vm.snapshotGasLastCall(GROUP, "upto through the settler");
    }

    function test_Keys() public {
        registry.registerKey(GATEWAY, operator, uint40(START), uint40(START + 1 days), keccak256("keyset"));
        vm.snapshotGasLastCall(GROUP, "register a key");
        payee.forward(address(usdc));
        vm.snapshotGasLastCall(GROUP, "forward to the owner");
    }

    function claimMany(uint256 count, string memory name) private returns (uint256) {
        VoucherClaim[] memory rows = new VoucherClaim[](count);
        for (uint256 i = 0; i < count; ++i) {
            ChannelConfig memory config = channelOf(keccak256(abi.encode(i)));
            depositInto(config, 1_000_000);
            rows[i] = voucherFor(config, 900_000, 800_000);
        }
        claimAsEnclave(rows);
        return vm.snapshotGasLastCall(GROUP, name);
    }
}
