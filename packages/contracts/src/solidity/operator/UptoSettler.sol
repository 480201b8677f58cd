// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ISignatureTransfer} from "../x402/ISignatureTransfer.sol";
import {Permit2Proxy} from "../x402/Permit2Proxy.sol";
import {x402UptoPermit2Proxy} from "../x402/x402UptoPermit2Proxy.sol";
import {AttestedKeys} from "./AttestedKeys.sol";
import {IKeyRegistry} from "./IKeyRegistry.sol";

/// @title The facilitator that payers name in x402 `upto` payments to a gateway
/// @notice The upto proxy takes the amount from whoever the payer named. This contract has no say of its own: it passes
///         on the amount that an attested key of the gateway signed for this very payment. Anybody may send it, so the
///         key needs no gas.
contract UptoSettler is AttestedKeys {
    /// @notice `nonce` is the Permit2 nonce of the payer, which Permit2 takes once: so is the charge.
    bytes32 public constant UPTO_CHARGE_TYPEHASH =
        keccak256("UptoCharge(address payer,address token,address payee,uint256 nonce,uint256 amount)");
    string private constant NAME = "Countersign Upto Settler";
    string private constant VERSION = "1";
    bytes32 private constant DOMAIN_TYPEHASH =
        keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");

    x402UptoPermit2Proxy public immutable PROXY;

    /// @notice This payment was settled. Whoever sent it: the proxy's own event does not say which payment it was.
    event ChargeSettled(address indexed payer, uint256 indexed nonce, uint256 amount);

    error InvalidProxy();
    error UntrustedCharge();

    constructor(IKeyRegistry registry, bytes32 gatewayId, x402UptoPermit2Proxy proxy)
        AttestedKeys(registry, gatewayId)
    {
        if (address(proxy).code.length == 0) revert InvalidProxy();
        PROXY = proxy;
    }

    function settle(
        ISignatureTransfer.PermitTransferFrom calldata permit,
        uint256 amount,
        address owner,
        x402UptoPermit2Proxy.Witness calldata witness,
        bytes calldata signature,
        bytes calldata chargeSignature
    ) external {
        _requireCharge(permit, amount, owner, witness.to, chargeSignature);
        PROXY.settle(permit, amount, owner, witness, signature);
        emit ChargeSettled(owner, permit.nonce, amount);
    }

    function settleWithPermit(
        Permit2Proxy.EIP2612Permit calldata permit2612,
        ISignatureTransfer.PermitTransferFrom calldata permit,
        uint256 amount,
        address owner,
        x402UptoPermit2Proxy.Witness calldata witness,
        bytes calldata signature,
        bytes calldata chargeSignature
    ) external {
        _requireCharge(permit, amount, owner, witness.to, chargeSignature);
        PROXY.settleWithPermit(permit2612, permit, amount, owner, witness, signature);
        emit ChargeSettled(owner, permit.nonce, amount);
    }

    /// @notice What the attested key signs.
    function getChargeDigest(address payer, address token, address payee, uint256 nonce, uint256 amount)
        public
        view
        returns (bytes32)
    {
        bytes32 separator = keccak256(
            abi.encode(DOMAIN_TYPEHASH, keccak256(bytes(NAME)), keccak256(bytes(VERSION)), block.chainid, address(this))
        );
        bytes32 structHash = keccak256(abi.encode(UPTO_CHARGE_TYPEHASH, payer, token, payee, nonce, amount));
        return keccak256(abi.encodePacked(hex"1901", separator, structHash));
    }

    function _requireCharge(
        ISignatureTransfer.PermitTransferFrom calldata permit,
        uint256 amount,
        address owner,
        address payee,
        bytes calldata chargeSignature
    ) private view {
        bytes32 digest = getChargeDigest(owner, permit.permitted.token, payee, permit.nonce, amount);
        if (!_isTrusted(digest, chargeSignature)) revert UntrustedCharge();
    }
}
