// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title The reads of Multicall3 that x402 facilitators and viem use, for chains that lack the original
contract Multicall3 {
    struct Call {
        address target;
        bytes callData;
    }

    struct Call3 {
        address target;
        bool allowFailure;
        bytes callData;
    }

    struct Result {
        bool success;
        bytes returnData;
    }

    error CallFailed(uint256 index);

    function aggregate3(Call3[] calldata calls) external returns (Result[] memory returnData) {
        returnData = new Result[](calls.length);
        for (uint256 i = 0; i < calls.length; ++i) {
            returnData[i] = _call(i, calls[i].target, calls[i].callData, !calls[i].allowFailure);
        }
    }

    function tryAggregate(bool requireSuccess, Call[] calldata calls) external returns (Result[] memory returnData) {
        returnData = new Result[](calls.length);
        for (uint256 i = 0; i < calls.length; ++i) {
            returnData[i] = _call(i, calls[i].target, calls[i].callData, requireSuccess);
        }
    }

    function _call(uint256 index, address target, bytes calldata callData, bool requireSuccess)
        private
        returns (Result memory result)
    {
        (result.success, result.returnData) = target.call(callData);
        if (requireSuccess && !result.success) revert CallFailed(index);
    }
}
