// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {TestUSDC} from "./TestUSDC.sol";

/// @title A TEST dollar that becomes, at anybody's word, what real tokens can become: one that keeps a part of each
///        transfer, that is paused, or that refuses an account. It must never be deployed where money is meant.
contract MoodyUSDC is TestUSDC {
    /// @notice Kept of each transfer, in hundredths of a percent; goes to this contract.
    uint256 public feeBasisPoints;
    bool public paused;
    mapping(address account => bool) public blocked;

    error TransfersArePaused();
    error AccountIsBlocked();
    error FeeTooHigh();

    function setFee(uint256 basisPoints) external {
        if (basisPoints > 10_000) revert FeeTooHigh();
        feeBasisPoints = basisPoints;
    }

    function setPaused(bool state) external {
        paused = state;
    }

    function setBlocked(address account, bool state) external {
        blocked[account] = state;
    }

    function _transfer(address from, address to, uint256 value) internal override {
        if (paused) revert TransfersArePaused();
        if (blocked[from] || blocked[to]) revert AccountIsBlocked();
        uint256 fee = (value * feeBasisPoints) / 10_000;
        super._transfer(from, to, value - fee);
        if (fee > 0) super._transfer(from, address(this), fee);
    }
}
