// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {TimelockController} from "@openzeppelin/contracts/governance/TimelockController.sol";

/// @title The owner of a KeyRegistry: everything it does is public for `minDelay` seconds before it happens
/// @notice Payers are safe from a key they do not accept when `minDelay` is longer than the withdraw delay of their
///         channel: they can be out before the key counts.
contract RegistryTimelock is TimelockController {
    /// @dev No administrator besides the timelock itself; anybody may execute what is due.
    constructor(uint256 minDelay, address[] memory proposers)
        TimelockController(minDelay, proposers, _anybody(), address(0))
    {}

    function _anybody() private pure returns (address[] memory executors) {
        executors = new address[](1);
    }
}
