// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IDepositCollector} from "./IDepositCollector.sol";

/// @notice A collector serves one settlement contract only: anybody else could spend a payer's signature elsewhere.
abstract contract DepositCollector is IDepositCollector {
    address public immutable x402BatchSettlement;

    error InvalidX402BatchSettlementAddress();
    error OnlyX402BatchSettlement();

    modifier onlyX402BatchSettlement() {
        if (msg.sender != x402BatchSettlement) revert OnlyX402BatchSettlement();
        _;
    }

    constructor(address settlement) {
        if (settlement == address(0)) revert InvalidX402BatchSettlementAddress();
        x402BatchSettlement = settlement;
    }
}
