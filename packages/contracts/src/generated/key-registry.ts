// Generated from src/solidity/operator/KeyRegistry.sol. Do not edit: run `npm run generate`.

/** The ABI of `operator/KeyRegistry.sol`. */
export const keyRegistryAbi = [
  {
    inputs: [
      {
        internalType: 'address',
        name: 'owner',
        type: 'address',
      },
      {
        internalType: 'address',
        name: 'registrar_',
        type: 'address',
      },
      {
        internalType: 'address',
        name: 'guardian_',
        type: 'address',
      },
    ],
    stateMutability: 'nonpayable',
    type: 'constructor',
  },
  {
    inputs: [],
    name: 'AlreadyRevoked',
    type: 'error',
  },
  {
    inputs: [],
    name: 'InvalidInterval',
    type: 'error',
  },
  {
    inputs: [],
    name: 'InvalidKey',
    type: 'error',
  },
  {
    inputs: [],
    name: 'KeyAlreadyRegistered',
    type: 'error',
  },
  {
    inputs: [],
    name: 'KeyNotRegistered',
    type: 'error',
  },
  {
    inputs: [],
    name: 'NotAllowedToRevoke',
    type: 'error',
  },
  {
    inputs: [],
    name: 'NotRegistrar',
    type: 'error',
  },
  {
    inputs: [
      {
        internalType: 'address',
        name: 'owner',
        type: 'address',
      },
    ],
    name: 'OwnableInvalidOwner',
    type: 'error',
  },
  {
    inputs: [
      {
        internalType: 'address',
        name: 'account',
        type: 'address',
      },
    ],
    name: 'OwnableUnauthorizedAccount',
    type: 'error',
  },
  {
    inputs: [],
    name: 'OwnershipCannotBeRenounced',
    type: 'error',
  },
  {
    anonymous: false,
    inputs: [
      {
        indexed: false,
        internalType: 'address',
        name: 'guardian',
        type: 'address',
      },
    ],
    name: 'GuardianChanged',
    type: 'event',
  },
  {
    anonymous: false,
    inputs: [
      {
        indexed: true,
        internalType: 'bytes32',
        name: 'gatewayId',
        type: 'bytes32',
      },
      {
        indexed: true,
        internalType: 'address',
        name: 'key',
        type: 'address',
      },
      {
        indexed: false,
        internalType: 'uint40',
        name: 'validFrom',
        type: 'uint40',
      },
      {
        indexed: false,
        internalType: 'uint40',
        name: 'validUntil',
        type: 'uint40',
      },
      {
        indexed: false,
        internalType: 'bytes32',
        name: 'keysetDigest',
        type: 'bytes32',
      },
    ],
    name: 'KeyRegistered',
    type: 'event',
  },
  {
    anonymous: false,
    inputs: [
      {
        indexed: true,
        internalType: 'bytes32',
        name: 'gatewayId',
        type: 'bytes32',
      },
      {
        indexed: true,
        internalType: 'address',
        name: 'key',
        type: 'address',
      },
      {
        indexed: false,
        internalType: 'uint40',
        name: 'revokedAt',
        type: 'uint40',
      },
    ],
    name: 'KeyRevoked',
    type: 'event',
  },
  {
    anonymous: false,
    inputs: [
      {
        indexed: true,
        internalType: 'address',
        name: 'previousOwner',
        type: 'address',
      },
      {
        indexed: true,
        internalType: 'address',
        name: 'newOwner',
        type: 'address',
      },
    ],
    name: 'OwnershipTransferStarted',
    type: 'event',
  },
  {
    anonymous: false,
    inputs: [
      {
        indexed: true,
        internalType: 'address',
        name: 'previousOwner',
        type: 'address',
      },
      {
        indexed: true,
        internalType: 'address',
        name: 'newOwner',
        type: 'address',
      },
    ],
    name: 'OwnershipTransferred',
    type: 'event',
  },
  {
    anonymous: false,
    inputs: [
      {
        indexed: false,
        internalType: 'address',
        name: 'registrar',
        type: 'address',
      },
    ],
    name: 'RegistrarChanged',
    type: 'event',
  },
  {
    inputs: [],
    name: 'MAX_LIFETIME',
    outputs: [
      {
        internalType: 'uint40',
        name: '',
        type: 'uint40',
      },
    ],
    stateMutability: 'view',
    type: 'function',
  },
  {
    inputs: [],
    name: 'acceptOwnership',
    outputs: [],
    stateMutability: 'nonpayable',
    type: 'function',
  },
  {
    inputs: [],
    name: 'guardian',
    outputs: [
      {
        internalType: 'address',
        name: '',
        type: 'address',
      },
    ],
    stateMutability: 'view',
    type: 'function',
  },
  {
    inputs: [
      {
        internalType: 'bytes32',
        name: 'gatewayId',
        type: 'bytes32',
      },
      {
        internalType: 'address',
        name: 'key',
        type: 'address',
      },
      {
        internalType: 'uint256',
        name: 'time',
        type: 'uint256',
      },
      {
        internalType: 'uint256',
        name: 'graceSeconds',
        type: 'uint256',
      },
    ],
    name: 'isTrusted',
    outputs: [
      {
        internalType: 'bool',
        name: '',
        type: 'bool',
      },
    ],
    stateMutability: 'view',
    type: 'function',
  },
  {
    inputs: [
      {
        internalType: 'bytes32',
        name: 'gatewayId',
        type: 'bytes32',
      },
      {
        internalType: 'address',
        name: 'key',
        type: 'address',
      },
    ],
    name: 'keys',
    outputs: [
      {
        internalType: 'uint40',
        name: 'validFrom',
        type: 'uint40',
      },
      {
        internalType: 'uint40',
        name: 'validUntil',
        type: 'uint40',
      },
      {
        internalType: 'uint40',
        name: 'revokedAt',
        type: 'uint40',
      },
    ],
    stateMutability: 'view',
    type: 'function',
  },
  {
    inputs: [],
    name: 'owner',
    outputs: [
      {
        internalType: 'address',
        name: '',
        type: 'address',
      },
    ],
    stateMutability: 'view',
    type: 'function',
  },
  {
    inputs: [],
    name: 'pendingOwner',
    outputs: [
      {
        internalType: 'address',
        name: '',
        type: 'address',
      },
    ],
    stateMutability: 'view',
    type: 'function',
  },
  {
    inputs: [
      {
        internalType: 'bytes32',
        name: 'gatewayId',
        type: 'bytes32',
      },
      {
        internalType: 'address',
        name: 'key',
        type: 'address',
      },
      {
        internalType: 'uint40',
        name: 'validFrom',
        type: 'uint40',
      },
      {
        internalType: 'uint40',
        name: 'validUntil',
        type: 'uint40',
      },
      {
        internalType: 'bytes32',
        name: 'keysetDigest',
        type: 'bytes32',
      },
    ],
    name: 'registerKey',
    outputs: [],
    stateMutability: 'nonpayable',
    type: 'function',
  },
  {
    inputs: [],
    name: 'registrar',
    outputs: [
      {
        internalType: 'address',
        name: '',
        type: 'address',
      },
    ],
    stateMutability: 'view',
    type: 'function',
  },
  {
    inputs: [],
    name: 'renounceOwnership',
    outputs: [],
    stateMutability: 'pure',
    type: 'function',
  },
  {
    inputs: [
      {
        internalType: 'bytes32',
        name: 'gatewayId',
        type: 'bytes32',
      },
      {
        internalType: 'address',
        name: 'key',
        type: 'address',
      },
      {
        internalType: 'uint40',
        name: 'since',
        type: 'uint40',
      },
    ],
    name: 'revokeKey',
    outputs: [],
    stateMutability: 'nonpayable',
    type: 'function',
  },
  {
    inputs: [
      {
        internalType: 'address',
        name: 'newGuardian',
        type: 'address',
      },
    ],
    name: 'setGuardian',
    outputs: [],
    stateMutability: 'nonpayable',
    type: 'function',
  },
  {
    inputs: [
      {
        internalType: 'address',
        name: 'newRegistrar',
        type: 'address',
      },
    ],
    name: 'setRegistrar',
    outputs: [],
    stateMutability: 'nonpayable',
    type: 'function',
  },
  {
    inputs: [
      {
        internalType: 'address',
        name: 'newOwner',
        type: 'address',
      },
    ],
    name: 'transferOwnership',
    outputs: [],
    stateMutability: 'nonpayable',
    type: 'function',
  },
] as const

/** Creation code: what a deployment transaction carries, followed by its arguments. */
export const keyRegistryCreationCode =
  '0x608060405234801561000f575f5ffd5b5060405161101e38038061101e83398101604081905261002e916101d0565b826001600160a01b03811661005c57604051631e4fbdf760e01b81525f600482015260240160405180910390fd5b61006581610080565b5061006f8261009c565b61007881610118565b505050610210565b600180546001600160a01b031916905561009981610166565b50565b6001600160a01b0381166100c357604051632ad9535160e01b815260040160405180910390fd5b600280546001600160a01b0319166001600160a01b0383169081179091556040519081527f6e4c52923c1e70447ecc72995ce26bf2400d9c26b1a7c21ab433e7caff8d40a2906020015b60405180910390a150565b600380546001600160a01b0319166001600160a01b0383169081179091556040519081527f01c6520cf747e4632b43b535b91afe3950ccabc4ab29bbd89e3c1f6b0ba056559060200161010d565b5f80546001600160a01b038381166001600160a01b0319831681178455604051919092169283917f8be0079c531659141344cd1fd0a4f28419497f9722a3daafe3b4186f6b6457e09190a35050565b80516001600160a01b03811681146101cb575f5ffd5b919050565b5f5f5f606084860312156101e2575f5ffd5b6101eb846101b5565b92506101f9602085016101b5565b9150610207604085016101b5565b90509250925092565b610e018061021d5f395ff3fe608060405234801561000f575f5ffd5b50600436106100e5575f3560e01c80638a0dac4a11610088578063d104248a11610063578063d104248a14610263578063e30c397814610276578063f2fde38b14610294578063faab9d39146102a7575f5ffd5b80638a0dac4a146102105780638da5cb5b14610223578063a132076c14610240575f5ffd5b80632ba2a665116100c35780632ba2a665146101c0578063452a9320146101e0578063715018a61461020057806379ba509714610208575f5ffd5b806301c936ec146100e95780632903b8ee146100fe5780632b20e3971461017b575b5f5ffd5b6100fc6100f7366004610c92565b6102ba565b005b61014e61010c366004610ccb565b600460209081525f928352604080842090915290825290205464ffffffffff808216916501000000000081048216916a01000000000000000000009091041683565b6040805164ffffffffff948516815292841660208401529216918101919091526060015b60405180910390f35b60025461019b9073ffffffffffffffffffffffffffffffffffffffff1681565b60405173ffffffffffffffffffffffffffffffffffffffff9091168152602001610172565b6101ca6201518081565b60405164ffffffffff9091168152602001610172565b60035461019b9073ffffffffffffffffffffffffffffffffffffffff1681565b6100fc610519565b6100fc61054b565b6100fc61021e366004610cf5565b6105c7565b5f5473ffffffffffffffffffffffffffffffffffffffff1661019b565b61025361024e366004610d15565b6105d8565b6040519015158152602001610172565b6100fc610271366004610d4d565b6106ae565b60015473ffffffffffffffffffffffffffffffffffffffff1661019b565b6100fc6102a2366004610cf5565b610963565b6100fc6102b5366004610cf5565b610a12565b60035473ffffffffffffffffffffffffffffffffffffffff1633148015906102fa575060025473ffffffffffffffffffffffffffffffffffffffff163314155b801561031d57505f5473ffffffffffffffffffffffffffffffffffffffff163314155b15610354576040517fdf2a13a100000000000000000000000000000000000000000000000000000000815260040160405180910390fd5b5f83815260046020908152604080832073ffffffffffffffffffffffffffffffffffffffff861684529091528120805490916501000000000090910464ffffffffff1690036103cf576040517f815589fb00000000000000000000000000000000000000000000000000000000815260040160405180910390fd5b8164ffffffffff165f0361040f576040517f5fabb61000000000000000000000000000000000000000000000000000000000815260040160405180910390fd5b80546a0100000000000000000000900464ffffffffff161580159061044e5750805464ffffffffff6a0100000000000000000000909104811690831610155b15610485576040517f905e710700000000000000000000000000000000000000000000000000000000815260040160405180910390fd5b80547fffffffffffffffffffffffffffffffffff0000000000ffffffffffffffffffff166a010000000000000000000064ffffffffff841690810291909117825560405190815273ffffffffffffffffffffffffffffffffffffffff84169085907f6bf8257ba6e2e8657198f3908692f23f4ba984fedbc076d7807920b9010bdd589060200160405180910390a350505050565b6040517f2fab92ca00000000000000000000000000000000000000000000000000000000815260040160405180910390fd5b600154339073ffffffffffffffffffffffffffffffffffffffff1681146105bb576040517f118cdaa700000000000000000000000000000000000000000000000000000000815273ffffffffffffffffffffffffffffffffffffffff821660048201526024015b60405180910390fd5b6105c481610a23565b50565b6105cf610a54565b6105c481610aa8565b5f84815260046020908152604080832073ffffffffffffffffffffffffffffffffffffffff8716845282528083208151606081018352905464ffffffffff808216835265010000000000820481169483018590526a01000000000000000000009091041691810191909152901580159061065a5750805164ffffffffff168410155b801561067b575082816020015164ffffffffff166106789190610dcb565b84105b80156106a45750604081015164ffffffffff1615806106a45750806040015164ffffffffff1684105b9695505050505050565b60025473ffffffffffffffffffffffffffffffffffffffff1633146106ff576040517f2ad9535100000000000000000000000000000000000000000000000000000000815260040160405180910390fd5b841580610720575073ffffffffffffffffffffffffffffffffffffffff8416155b80610729575080155b15610760576040517f76d4e1e800000000000000000000000000000000000000000000000000000000815260040160405180910390fd5b8264ffffffffff168264ffffffffff1611158061078f5750620151806107868484610de4565b64ffffffffff16115b806107a15750428264ffffffffff1611155b156107d8576040517f5fabb61000000000000000000000000000000000000000000000000000000000815260040160405180910390fd5b5f85815260046020908152604080832073ffffffffffffffffffffffffffffffffffffffff8816845290915290205465010000000000900464ffffffffff161561084e576040517f18f7840200000000000000000000000000000000000000000000000000000000815260040160405180910390fd5b604080516060808201835264ffffffffff86811680845286821660208086018281525f8789018181528e82526004845289822073ffffffffffffffffffffffffffffffffffffffff8f16808452908552918a9020985189549351915188166a0100000000000000000000027fffffffffffffffffffffffffffffffffff0000000000ffffffffffffffffffff92891665010000000000027fffffffffffffffffffffffffffffffffffffffffffff00000000000000000000909516919098161792909217919091169490941790955585519182529381019390935292820184905287917f74ccc14610d530f0bacd1f75bb5d1da50bd5f854313b3c5049d4d85074061f29910160405180910390a35050505050565b61096b610a54565b6001805473ffffffffffffffffffffffffffffffffffffffff83167fffffffffffffffffffffffff000000000000000000000000000000000000000090911681179091556109cd5f5473ffffffffffffffffffffffffffffffffffffffff1690565b73ffffffffffffffffffffffffffffffffffffffff167f38d16b8cac22d99fc7c124b9cd0de2d3fa1faef420bfe791d8c362d765e2270060405160405180910390a350565b610a1a610a54565b6105c481610b22565b600180547fffffffffffffffffffffffff00000000000000000000000000000000000000001690556105c481610be2565b5f5473ffffffffffffffffffffffffffffffffffffffff163314610aa6576040517f118cdaa70000000000000000000000000000000000000000000000000000000081523360048201526024016105b2565b565b600380547fffffffffffffffffffffffff00000000000000000000000000000000000000001673ffffffffffffffffffffffffffffffffffffffff83169081179091556040519081527f01c6520cf747e4632b43b535b91afe3950ccabc4ab29bbd89e3c1f6b0ba05655906020015b60405180910390a150565b73ffffffffffffffffffffffffffffffffffffffff8116610b6f576040517f2ad9535100000000000000000000000000000000000000000000000000000000815260040160405180910390fd5b600280547fffffffffffffffffffffffff00000000000000000000000000000000000000001673ffffffffffffffffffffffffffffffffffffffff83169081179091556040519081527f6e4c52923c1e70447ecc72995ce26bf2400d9c26b1a7c21ab433e7caff8d40a290602001610b17565b5f805473ffffffffffffffffffffffffffffffffffffffff8381167fffffffffffffffffffffffff0000000000000000000000000000000000000000831681178455604051919092169283917f8be0079c531659141344cd1fd0a4f28419497f9722a3daafe3b4186f6b6457e09190a35050565b803573ffffffffffffffffffffffffffffffffffffffff81168114610c79575f5ffd5b919050565b803564ffffffffff81168114610c79575f5ffd5b5f5f5f60608486031215610ca4575f5ffd5b83359250610cb460208501610c56565b9150610cc260408501610c7e565b90509250925092565b5f5f60408385031215610cdc575f5ffd5b82359150610cec60208401610c56565b90509250929050565b5f60208284031215610d05575f5ffd5b610d0e82610c56565b9392505050565b5f5f5f5f60808587031215610d28575f5ffd5b84359350610d3860208601610c56565b93969395505050506040820135916060013590565b5f5f5f5f5f60a08688031215610d61575f5ffd5b85359450610d7160208701610c56565b9350610d7f60408701610c7e565b9250610d8d60608701610c7e565b949793965091946080013592915050565b7f4e487b71000000000000000000000000000000000000000000000000000000005f52601160045260245ffd5b80820180821115610dde57610dde610d9e565b92915050565b64ffffffffff8281168282160390811115610dde57610dde610d9e56' as const
