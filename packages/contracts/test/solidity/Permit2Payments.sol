// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ISignatureTransfer} from "../../src/solidity/x402/ISignatureTransfer.sol";
import {x402ExactPermit2Proxy} from "../../src/solidity/x402/x402ExactPermit2Proxy.sol";
import {x402UptoPermit2Proxy} from "../../src/solidity/x402/x402UptoPermit2Proxy.sol";
import {Deployed} from "./Deployed.sol";

/// @notice Signatures of payers for the two proxies. The type hashes are literals: the contracts must arrive at them.
abstract contract Permit2Payments is Deployed {
    bytes32 private constant EXACT_TYPEHASH = 0xebc156cd23678a74c94df13d772ef5478420637f0c94bd10d509e1dc98f521c7;
    bytes32 private constant UPTO_TYPEHASH = 0x51dff6974ad4388c499e7fcfe838d2bd767162553a144098ce20ea661d70c2ee;
    bytes32 private constant EXACT_WITNESS = 0xd97b3239a7f32295517bd14cb074edfdd188dfe5eb42f802bb26d4fd1eb12c37;
    bytes32 private constant UPTO_WITNESS = 0xd4171c445a74218b01d4fd8af34ff1106580ea1e36ff837e64484bfaa2253b75;

    function permitOf(uint256 amount, uint256 nonce)
        internal
        view
        returns (ISignatureTransfer.PermitTransferFrom memory)
    {
        return ISignatureTransfer.PermitTransferFrom(
            ISignatureTransfer.TokenPermissions(address(usdc), amount), nonce, block.timestamp + 600
        );
    }

    function signExact(
        ISignatureTransfer.PermitTransferFrom memory permit,
        x402ExactPermit2Proxy.Witness memory witness
    ) internal view returns (bytes memory) {
        bytes32 hash = keccak256(abi.encode(EXACT_WITNESS, witness.to, witness.validAfter));
        return signPermit(EXACT_TYPEHASH, permit, address(exactProxy), hash);
    }

    function signUpto(ISignatureTransfer.PermitTransferFrom memory permit, x402UptoPermit2Proxy.Witness memory witness)
        internal
        view
        returns (bytes memory)
    {
        bytes32 hash = keccak256(abi.encode(UPTO_WITNESS, witness.to, witness.facilitator, witness.validAfter));
        return signPermit(UPTO_TYPEHASH, permit, address(uptoProxy), hash);
    }

    function signPermit(
        bytes32 typehash,
        ISignatureTransfer.PermitTransferFrom memory permit,
        address spender,
        bytes32 witnessHash
    ) private view returns (bytes memory) {
        bytes32 permitted = keccak256(
            abi.encode(
                bytes32(0x618358ac3db8dc274f0cd8829da7e234bd48cd73c4a740aede1adec9846d06a1),
                permit.permitted.token,
                permit.permitted.amount
            )
        );
        bytes32 separator = keccak256(
            abi.encode(
                bytes32(0x8cad95687ba82c2ce50e74f7b754645e5117c3a5bec8151c0726d5857980a866),
                keccak256("Permit2"),
                block.chainid,
                PERMIT2
            )
        );
        bytes32 structHash =
            keccak256(abi.encode(typehash, permitted, spender, permit.nonce, permit.deadline, witnessHash));
        return sign(PAYER_KEY, typed(separator, structHash));
    }
}
