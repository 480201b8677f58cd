// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice The cheat codes of forge that the tests use.
interface Vm {
    struct Log {
        bytes32[] topics;
        bytes data;
        address emitter;
    }

    function addr(uint256 privateKey) external pure returns (address);
    function sign(uint256 privateKey, bytes32 digest) external pure returns (uint8 v, bytes32 r, bytes32 s);
    function prank(address sender) external;
    function startPrank(address sender) external;
    function stopPrank() external;
    function warp(uint256 timestamp) external;
    function deployCode(string calldata artifact, bytes calldata arguments) external returns (address);
    function etch(address target, bytes calldata code) external;
    function expectRevert(bytes4 selector) external;
    function expectRevert(bytes calldata data) external;
    function expectRevert() external;
    function expectEmit() external;
    function recordLogs() external;
    function getRecordedLogs() external returns (Log[] memory);
    function readFile(string calldata path) external view returns (string memory);
    function parseBytes(string calldata text) external pure returns (bytes memory);
    function snapshotGasLastCall(string calldata group, string calldata name) external returns (uint256);
}

/// @notice Assertions that say what differed.
abstract contract Checks {
    Vm internal constant vm = Vm(0x7109709ECfa91a80626fF3989D68f67F5b1DD12D);

    error NotEqual(string what, uint256 found, uint256 expected);
    error NotTrue(string what);

    function equal(uint256 found, uint256 expected, string memory what) internal pure {
        if (found != expected) revert NotEqual(what, found, expected);
    }

    function equal(address found, address expected, string memory what) internal pure {
        if (found != expected) revert NotEqual(what, uint160(found), uint160(expected));
    }

    function equal(bytes32 found, bytes32 expected, string memory what) internal pure {
        if (found != expected) revert NotEqual(what, uint256(found), uint256(expected));
    }

    function holds(bool condition, string memory what) internal pure {
        if (!condition) revert NotTrue(what);
    }

    /// @dev `value` brought into [low, high].
    function bound(uint256 value, uint256 low, uint256 high) internal pure returns (uint256) {
        return low + value % (high - low + 1);
    }
}
