// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Ownable, Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";

/// @title Where a gateway is paid
/// @notice x402BatchSettlement lets the receiver of a channel claim up to the payer's ceiling without any meter. This
///         receiver cannot: all it does is to pass on what it holds to its owner. So a claim needs the authorizer, and
///         the authorizer needs a key of an attested enclave.
contract GatewayPayee is Ownable2Step {
    using SafeERC20 for IERC20;

    event Forwarded(address indexed token, address indexed to, uint256 amount);

    error OwnershipCannotBeRenounced();

    constructor(address owner) Ownable(owner) {}

    /// @notice Sends everything held of `token` to the owner. Anybody may send it.
    function forward(address token) external returns (uint256 amount) {
        amount = IERC20(token).balanceOf(address(this));
        address to = owner();
        emit Forwarded(token, to, amount);
        IERC20(token).safeTransfer(to, amount);
    }

    /// @dev Without an owner the tokens could never leave.
    function renounceOwnership() public pure override {
        revert OwnershipCannotBeRenounced();
    }
}
