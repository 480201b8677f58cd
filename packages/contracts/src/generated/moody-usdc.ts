// Generated from src/solidity/MoodyUSDC.sol. Do not edit: run `npm run generate`.

/** The ABI of `MoodyUSDC.sol`. */
export const moodyUsdcAbi = [
  {
    inputs: [],
    name: 'AccountIsBlocked',
    type: 'error',
  },
  {
    inputs: [],
    name: 'AllowanceTooLow',
    type: 'error',
  },
  {
    inputs: [],
    name: 'AuthorizationAlreadyUsed',
    type: 'error',
  },
  {
    inputs: [],
    name: 'AuthorizationExpired',
    type: 'error',
  },
  {
    inputs: [],
    name: 'AuthorizationNotYetValid',
    type: 'error',
  },
  {
    inputs: [],
    name: 'BalanceTooLow',
    type: 'error',
  },
  {
    inputs: [],
    name: 'CallerMustBePayee',
    type: 'error',
  },
  {
    inputs: [],
    name: 'FeeTooHigh',
    type: 'error',
  },
  {
    inputs: [],
    name: 'InvalidSignature',
    type: 'error',
  },
  {
    inputs: [],
    name: 'PermitExpired',
    type: 'error',
  },
  {
    inputs: [],
    name: 'TransfersArePaused',
    type: 'error',
  },
  {
    inputs: [],
    name: 'ZeroAddress',
    type: 'error',
  },
  {
    anonymous: false,
    inputs: [
      {
        indexed: true,
        internalType: 'address',
        name: 'owner',
        type: 'address',
      },
      {
        indexed: true,
        internalType: 'address',
        name: 'spender',
        type: 'address',
      },
      {
        indexed: false,
        internalType: 'uint256',
        name: 'value',
        type: 'uint256',
      },
    ],
    name: 'Approval',
    type: 'event',
  },
  {
    anonymous: false,
    inputs: [
      {
        indexed: true,
        internalType: 'address',
        name: 'authorizer',
        type: 'address',
      },
      {
        indexed: true,
        internalType: 'bytes32',
        name: 'nonce',
        type: 'bytes32',
      },
    ],
    name: 'AuthorizationCanceled',
    type: 'event',
  },
  {
    anonymous: false,
    inputs: [
      {
        indexed: true,
        internalType: 'address',
        name: 'authorizer',
        type: 'address',
      },
      {
        indexed: true,
        internalType: 'bytes32',
        name: 'nonce',
        type: 'bytes32',
      },
    ],
    name: 'AuthorizationUsed',
    type: 'event',
  },
  {
    anonymous: false,
    inputs: [
      {
        indexed: true,
        internalType: 'address',
        name: 'from',
        type: 'address',
      },
      {
        indexed: true,
        internalType: 'address',
        name: 'to',
        type: 'address',
      },
      {
        indexed: false,
        internalType: 'uint256',
        name: 'value',
        type: 'uint256',
      },
    ],
    name: 'Transfer',
    type: 'event',
  },
  {
    inputs: [],
    name: 'CANCEL_AUTHORIZATION_TYPEHASH',
    outputs: [
      {
        internalType: 'bytes32',
        name: '',
        type: 'bytes32',
      },
    ],
    stateMutability: 'view',
    type: 'function',
  },
  {
    inputs: [],
    name: 'DOMAIN_SEPARATOR',
    outputs: [
      {
        internalType: 'bytes32',
        name: '',
        type: 'bytes32',
      },
    ],
    stateMutability: 'view',
    type: 'function',
  },
  {
    inputs: [],
    name: 'PERMIT_TYPEHASH',
    outputs: [
      {
        internalType: 'bytes32',
        name: '',
        type: 'bytes32',
      },
    ],
    stateMutability: 'view',
    type: 'function',
  },
  {
    inputs: [],
    name: 'RECEIVE_WITH_AUTHORIZATION_TYPEHASH',
    outputs: [
      {
        internalType: 'bytes32',
        name: '',
        type: 'bytes32',
      },
    ],
    stateMutability: 'view',
    type: 'function',
  },
  {
    inputs: [],
    name: 'TRANSFER_WITH_AUTHORIZATION_TYPEHASH',
    outputs: [
      {
        internalType: 'bytes32',
        name: '',
        type: 'bytes32',
      },
    ],
    stateMutability: 'view',
    type: 'function',
  },
  {
    inputs: [
      {
        internalType: 'address',
        name: 'owner',
        type: 'address',
      },
      {
        internalType: 'address',
        name: 'spender',
        type: 'address',
      },
    ],
    name: 'allowance',
    outputs: [
      {
        internalType: 'uint256',
        name: '',
        type: 'uint256',
      },
    ],
    stateMutability: 'view',
    type: 'function',
  },
  {
    inputs: [
      {
        internalType: 'address',
        name: 'spender',
        type: 'address',
      },
      {
        internalType: 'uint256',
        name: 'value',
        type: 'uint256',
      },
    ],
    name: 'approve',
    outputs: [
      {
        internalType: 'bool',
        name: '',
        type: 'bool',
      },
    ],
    stateMutability: 'nonpayable',
    type: 'function',
  },
  {
    inputs: [
      {
        internalType: 'address',
        name: 'authorizer',
        type: 'address',
      },
      {
        internalType: 'bytes32',
        name: 'nonce',
        type: 'bytes32',
      },
    ],
    name: 'authorizationState',
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
        internalType: 'address',
        name: 'account',
        type: 'address',
      },
    ],
    name: 'balanceOf',
    outputs: [
      {
        internalType: 'uint256',
        name: '',
        type: 'uint256',
      },
    ],
    stateMutability: 'view',
    type: 'function',
  },
  {
    inputs: [
      {
        internalType: 'address',
        name: 'account',
        type: 'address',
      },
    ],
    name: 'blocked',
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
        internalType: 'address',
        name: 'authorizer',
        type: 'address',
      },
      {
        internalType: 'bytes32',
        name: 'nonce',
        type: 'bytes32',
      },
      {
        internalType: 'uint8',
        name: 'v',
        type: 'uint8',
      },
      {
        internalType: 'bytes32',
        name: 'r',
        type: 'bytes32',
      },
      {
        internalType: 'bytes32',
        name: 's',
        type: 'bytes32',
      },
    ],
    name: 'cancelAuthorization',
    outputs: [],
    stateMutability: 'nonpayable',
    type: 'function',
  },
  {
    inputs: [
      {
        internalType: 'address',
        name: 'authorizer',
        type: 'address',
      },
      {
        internalType: 'bytes32',
        name: 'nonce',
        type: 'bytes32',
      },
      {
        internalType: 'bytes',
        name: 'signature',
        type: 'bytes',
      },
    ],
    name: 'cancelAuthorization',
    outputs: [],
    stateMutability: 'nonpayable',
    type: 'function',
  },
  {
    inputs: [],
    name: 'decimals',
    outputs: [
      {
        internalType: 'uint8',
        name: '',
        type: 'uint8',
      },
    ],
    stateMutability: 'view',
    type: 'function',
  },
  {
    inputs: [],
    name: 'feeBasisPoints',
    outputs: [
      {
        internalType: 'uint256',
        name: '',
        type: 'uint256',
      },
    ],
    stateMutability: 'view',
    type: 'function',
  },
  {
    inputs: [
      {
        internalType: 'address',
        name: 'to',
        type: 'address',
      },
      {
        internalType: 'uint256',
        name: 'value',
        type: 'uint256',
      },
    ],
    name: 'mint',
    outputs: [],
    stateMutability: 'nonpayable',
    type: 'function',
  },
  {
    inputs: [],
    name: 'name',
    outputs: [
      {
        internalType: 'string',
        name: '',
        type: 'string',
      },
    ],
    stateMutability: 'view',
    type: 'function',
  },
  {
    inputs: [
      {
        internalType: 'address',
        name: 'owner',
        type: 'address',
      },
    ],
    name: 'nonces',
    outputs: [
      {
        internalType: 'uint256',
        name: '',
        type: 'uint256',
      },
    ],
    stateMutability: 'view',
    type: 'function',
  },
  {
    inputs: [],
    name: 'paused',
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
        internalType: 'address',
        name: 'owner',
        type: 'address',
      },
      {
        internalType: 'address',
        name: 'spender',
        type: 'address',
      },
      {
        internalType: 'uint256',
        name: 'value',
        type: 'uint256',
      },
      {
        internalType: 'uint256',
        name: 'deadline',
        type: 'uint256',
      },
      {
        internalType: 'bytes',
        name: 'signature',
        type: 'bytes',
      },
    ],
    name: 'permit',
    outputs: [],
    stateMutability: 'nonpayable',
    type: 'function',
  },
  {
    inputs: [
      {
        internalType: 'address',
        name: 'owner',
        type: 'address',
      },
      {
        internalType: 'address',
        name: 'spender',
        type: 'address',
      },
      {
        internalType: 'uint256',
        name: 'value',
        type: 'uint256',
      },
      {
        internalType: 'uint256',
        name: 'deadline',
        type: 'uint256',
      },
      {
        internalType: 'uint8',
        name: 'v',
        type: 'uint8',
      },
      {
        internalType: 'bytes32',
        name: 'r',
        type: 'bytes32',
      },
      {
        internalType: 'bytes32',
        name: 's',
        type: 'bytes32',
      },
    ],
    name: 'permit',
    outputs: [],
    stateMutability: 'nonpayable',
    type: 'function',
  },
  {
    inputs: [
      {
        internalType: 'address',
        name: 'from',
        type: 'address',
      },
      {
        internalType: 'address',
        name: 'to',
        type: 'address',
      },
      {
        internalType: 'uint256',
        name: 'value',
        type: 'uint256',
      },
      {
        internalType: 'uint256',
        name: 'validAfter',
        type: 'uint256',
      },
      {
        internalType: 'uint256',
        name: 'validBefore',
        type: 'uint256',
      },
      {
        internalType: 'bytes32',
        name: 'nonce',
        type: 'bytes32',
      },
      {
        internalType: 'bytes',
        name: 'signature',
        type: 'bytes',
      },
    ],
    name: 'receiveWithAuthorization',
    outputs: [],
    stateMutability: 'nonpayable',
    type: 'function',
  },
  {
    inputs: [
      {
        internalType: 'address',
        name: 'from',
        type: 'address',
      },
      {
        internalType: 'address',
        name: 'to',
        type: 'address',
      },
      {
        internalType: 'uint256',
        name: 'value',
        type: 'uint256',
      },
      {
        internalType: 'uint256',
        name: 'validAfter',
        type: 'uint256',
      },
      {
        internalType: 'uint256',
        name: 'validBefore',
        type: 'uint256',
      },
      {
        internalType: 'bytes32',
        name: 'nonce',
        type: 'bytes32',
      },
      {
        internalType: 'uint8',
        name: 'v',
        type: 'uint8',
      },
      {
        internalType: 'bytes32',
        name: 'r',
        type: 'bytes32',
      },
      {
        internalType: 'bytes32',
        name: 's',
        type: 'bytes32',
      },
    ],
    name: 'receiveWithAuthorization',
    outputs: [],
    stateMutability: 'nonpayable',
    type: 'function',
  },
  {
    inputs: [
      {
        internalType: 'address',
        name: 'account',
        type: 'address',
      },
      {
        internalType: 'bool',
        name: 'state',
        type: 'bool',
      },
    ],
    name: 'setBlocked',
    outputs: [],
    stateMutability: 'nonpayable',
    type: 'function',
  },
  {
    inputs: [
      {
        internalType: 'uint256',
        name: 'basisPoints',
        type: 'uint256',
      },
    ],
    name: 'setFee',
    outputs: [],
    stateMutability: 'nonpayable',
    type: 'function',
  },
  {
    inputs: [
      {
        internalType: 'bool',
        name: 'state',
        type: 'bool',
      },
    ],
    name: 'setPaused',
    outputs: [],
    stateMutability: 'nonpayable',
    type: 'function',
  },
  {
    inputs: [],
    name: 'symbol',
    outputs: [
      {
        internalType: 'string',
        name: '',
        type: 'string',
      },
    ],
    stateMutability: 'view',
    type: 'function',
  },
  {
    inputs: [],
    name: 'totalSupply',
    outputs: [
      {
        internalType: 'uint256',
        name: '',
        type: 'uint256',
      },
    ],
    stateMutability: 'view',
    type: 'function',
  },
  {
    inputs: [
      {
        internalType: 'address',
        name: 'to',
        type: 'address',
      },
      {
        internalType: 'uint256',
        name: 'value',
        type: 'uint256',
      },
    ],
    name: 'transfer',
    outputs: [
      {
        internalType: 'bool',
        name: '',
        type: 'bool',
      },
    ],
    stateMutability: 'nonpayable',
    type: 'function',
  },
  {
    inputs: [
      {
        internalType: 'address',
        name: 'from',
        type: 'address',
      },
      {
        internalType: 'address',
        name: 'to',
        type: 'address',
      },
      {
        internalType: 'uint256',
        name: 'value',
        type: 'uint256',
      },
    ],
    name: 'transferFrom',
    outputs: [
      {
        internalType: 'bool',
        name: '',
        type: 'bool',
      },
    ],
    stateMutability: 'nonpayable',
    type: 'function',
  },
  {
    inputs: [
      {
        internalType: 'address',
        name: 'from',
        type: 'address',
      },
      {
        internalType: 'address',
        name: 'to',
        type: 'address',
      },
      {
        internalType: 'uint256',
        name: 'value',
        type: 'uint256',
      },
      {
        internalType: 'uint256',
        name: 'validAfter',
        type: 'uint256',
      },
      {
        internalType: 'uint256',
        name: 'validBefore',
        type: 'uint256',
      },
      {
        internalType: 'bytes32',
        name: 'nonce',
        type: 'bytes32',
      },
      {
        internalType: 'bytes',
        name: 'signature',
        type: 'bytes',
      },
    ],
    name: 'transferWithAuthorization',
    outputs: [],
    stateMutability: 'nonpayable',
    type: 'function',
  },
  {
    inputs: [
      {
        internalType: 'address',
        name: 'from',
        type: 'address',
      },
      {
        internalType: 'address',
        name: 'to',
        type: 'address',
      },
      {
        internalType: 'uint256',
        name: 'value',
        type: 'uint256',
      },
      {
        internalType: 'uint256',
        name: 'validAfter',
        type: 'uint256',
      },
      {
        internalType: 'uint256',
        name: 'validBefore',
        type: 'uint256',
      },
      {
        internalType: 'bytes32',
        name: 'nonce',
        type: 'bytes32',
      },
      {
        internalType: 'uint8',
        name: 'v',
        type: 'uint8',
      },
      {
        internalType: 'bytes32',
        name: 'r',
        type: 'bytes32',
      },
      {
        internalType: 'bytes32',
        name: 's',
        type: 'bytes32',
      },
    ],
    name: 'transferWithAuthorization',
    outputs: [],
    stateMutability: 'nonpayable',
    type: 'function',
  },
  {
    inputs: [],
    name: 'version',
    outputs: [
      {
        internalType: 'string',
        name: '',
        type: 'string',
      },
    ],
    stateMutability: 'view',
    type: 'function',
  },
] as const

/** Creation code: what a deployment transaction carries, followed by its arguments. */
export const moodyUsdcCreationCode =
  '0x6080604052348015600e575f5ffd5b50611d798061001c5f395ff3fe608060405234801561000f575f5ffd5b50600436106101e6575f3560e01c80637f2eecc311610109578063cf0929951161009e578063e3ee160e1161006e578063e3ee160e1461064a578063e59621951461065d578063e94a01021461067f578063ef55bec6146106ac575f5ffd5b8063cf092995146105d3578063d505accf146105e6578063d9169487146105f9578063dd62ed3e14610620575f5ffd5b8063a0cc6a68116100d9578063a0cc6a681461057d578063a9059cbb146105a4578063b7b72899146105b7578063b8606eef146105ca575f5ffd5b80637f2eecc31461053057806388b7ab631461055757806395d89b411461024f5780639fd5a6cf1461056a575f5ffd5b80633644e5151161017f5780635c975abb1161014f5780635c975abb146104d257806369fe0e2d146104df57806370a08231146104f25780637ecebe0014610511575f5ffd5b80633644e5151461036e57806340c10f191461047057806354fd4d50146104835780635a049a70146104bf575f5ffd5b806318160ddd116101ba57806318160ddd1461030357806323b872dd1461031a57806330adf81f1461032d578063313ce56714610354575f5ffd5b80620af2a1146101ea57806306fdde031461024f578063095ea7b3146102a157806316c38b3c146102c4575b5f5ffd5b61024d6101f83660046117b2565b73ffffffffffffffffffffffffffffffffffffffff919091165f90815260076020526040902080547fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff0016911515919091179055565b005b61028b6040518060400160405280600481526020017f555344430000000000000000000000000000000000000000000000000000000081525081565b604051610298919061182f565b60405180910390f35b6102b46102af366004611848565b6106bf565b6040519015158152602001610298565b61024d6102d2366004611870565b600680547fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff0016911515919091179055565b61030c60015481565b604051908152602001610298565b6102b4610328366004611889565b6106d5565b61030c7f6e71edae12b1b97f4d1f60370fef10105fa2faae0126114a169c64845d6126c981565b61035c600681565b60405160ff9091168152602001610298565b604080518082018252600481527f555344430000000000000000000000000000000000000000000000000000000060209182015281518083018352600181527f32000000000000000000000000000000000000000000000000000000000000009082015281517f8b73c3c69bb8fe3d512ecc4cf759cc79239f7b179b0ffacaa9a75d522b39400f818301527fd6aca1be9729c13d677335161321649cccae6a591554772516700f986f942eaa818401527fad7c5bef027816a800da1736444fb58a807ef4c9603b7848673f7e3a68eb14a560608201524660808201523060a0808301919091528351808303909101815260c0909101909252815191012061030c565b61024d61047e366004611848565b6107b1565b61028b6040518060400160405280600181526020017f320000000000000000000000000000000000000000000000000000000000000081525081565b61024d6104cd3660046118d3565b610872565b6006546102b49060ff1681565b61024d6104ed36600461191d565b6108d5565b61030c610500366004611934565b5f6020819052908152604090205481565b61030c61051f366004611934565b60036020525f908152604090205481565b61030c7fd099cc98ef71107a616c4f0f941f04c322d8e254fe26b3c6668db87aae413de881565b61024d610565366004611a42565b610916565b61024d610578366004611ac1565b610a16565b61030c7f7c7c6cdb67a18743f49ec6fa9b35f50d52ed05cbed4cc592e13b44501c1a226781565b6102b46105b2366004611848565b610b08565b61024d6105c5366004611b2e565b610b14565b61030c60055481565b61024d6105e1366004611a42565b610c77565b61024d6105f4366004611b81565b610cfb565b61030c7f158b0a9edf7a828aad02f63cd515c68ef2f50ba807396f6d12842833a159742981565b61030c61062e366004611be7565b600260209081525f928352604080842090915290825290205481565b61024d610658366004611c0f565b610d6a565b6102b461066b366004611934565b60076020525f908152604090205460ff1681565b6102b461068d366004611848565b600460209081525f928352604080842090915290825290205460ff1681565b61024d6106ba366004611c0f565b610ddd565b5f6106cb338484610e45565b5060015b92915050565b73ffffffffffffffffffffffffffffffffffffffff83165f9081526002602090815260408083203384529091528120547fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff811461079b5782811015610766576040517fbac9b5e800000000000000000000000000000000000000000000000000000000815260040160405180910390fd5b73ffffffffffffffffffffffffffffffffffffffff85165f908152600260209081526040808320338452909152902083820390555b6107a6858585610f20565b506001949350505050565b73ffffffffffffffffffffffffffffffffffffffff82166107fe576040517fd92e233d00000000000000000000000000000000000000000000000000000000815260040160405180910390fd5b8060015f82825461080f9190611cb7565b909155505073ffffffffffffffffffffffffffffffffffffffff82165f81815260208181526040808320805486019055518481527fddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef910160405180910390a35050565b60408051602081018490529081018290527fff0000000000000000000000000000000000000000000000000000000000000060f885901b1660608201526108ce9086908690606101604051602081830303815290604052610b14565b5050505050565b612710811115610911576040517fcd4e616700000000000000000000000000000000000000000000000000000000815260040160405180910390fd5b600555565b73ffffffffffffffffffffffffffffffffffffffff86163314610965576040517f5454b17d00000000000000000000000000000000000000000000000000000000815260040160405180910390fd5b604080517fd099cc98ef71107a616c4f0f941f04c322d8e254fe26b3c6668db87aae413de86020820181905273ffffffffffffffffffffffffffffffffffffffff808b169383019390935291881660608201526080810187905260a0810186905260c0810185905260e08101849052610a01908990879087908790610100015b6040516020818303038152906040528051906020012087611034565b610a0c888888610f20565b5050505050505050565b81421115610a50576040517f1a15a3cc00000000000000000000000000000000000000000000000000000000815260040160405180910390fd5b73ffffffffffffffffffffffffffffffffffffffff8581165f8181526003602090815260409182902080546001810190915582517f6e71edae12b1b97f4d1f60370fef10105fa2faae0126114a169c64845d6126c9928101929092529181019290925291861660608201526080810185905260a0810182905260c08101849052610af590879060e00160405160208183030381529060405280519060200120846111bd565b610b00868686610e45565b505050505050565b5f6106cb338484610f20565b73ffffffffffffffffffffffffffffffffffffffff83165f90815260046020908152604080832085845290915290205460ff1615610b7e576040517f9508f1f200000000000000000000000000000000000000000000000000000000815260040160405180910390fd5b604080517f158b0a9edf7a828aad02f63cd515c68ef2f50ba807396f6d12842833a1597429602082015273ffffffffffffffffffffffffffffffffffffffff85169181019190915260608101839052610bf290849060800160405160208183030381529060405280519060200120836111bd565b73ffffffffffffffffffffffffffffffffffffffff83165f81815260046020908152604080832086845290915280822080547fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff00166001179055518492917f1cdd46ff242716cdaa72d159d339a485b3438398348d68f09d7c8c0a59353d8191a3505050565b604080517f7c7c6cdb67a18743f49ec6fa9b35f50d52ed05cbed4cc592e13b44501c1a22676020820181905273ffffffffffffffffffffffffffffffffffffffff808b169383019390935291881660608201526080810187905260a0810186905260c0810185905260e08101849052610a01908990879087908790610100016109e5565b610d6187878787868689604051602001610d4d93929190928352602083019190915260f81b7fff0000000000000000000000000000000000000000000000000000000000000016604082015260410190565b604051602081830303815290604052610a16565b50505050505050565b610dd289898989898988888b604051602001610dbe93929190928352602083019190915260f81b7fff0000000000000000000000000000000000000000000000000000000000000016604082015260410190565b604051602081830303815290604052610c77565b505050505050505050565b610dd289898989898988888b604051602001610e3193929190928352602083019190915260f81b7fff0000000000000000000000000000000000000000000000000000000000000016604082015260410190565b604051602081830303815290604052610916565b73ffffffffffffffffffffffffffffffffffffffff83161580610e7c575073ffffffffffffffffffffffffffffffffffffffff8216155b15610eb3576040517fd92e233d00000000000000000000000000000000000000000000000000000000815260040160405180910390fd5b73ffffffffffffffffffffffffffffffffffffffff8381165f8181526002602090815260408083209487168084529482529182902085905590518481527f8c5be1e5ebec7d5bd14f71427d1e84f3dd0314c0f7b2291e5b200ac8c7c3b925910160405180910390a3505050565b60065460ff1615610f5d576040517f584c50b900000000000000000000000000000000000000000000000000000000815260040160405180910390fd5b73ffffffffffffffffffffffffffffffffffffffff83165f9081526007602052604090205460ff1680610fb4575073ffffffffffffffffffffffffffffffffffffffff82165f9081526007602052604090205460ff165b15610feb576040517fa4dedaeb00000000000000000000000000000000000000000000000000000000815260040160405180910390fd5b5f61271060055483610ffd9190611cca565b6110079190611ce1565b905061101d84846110188486611d19565b611545565b801561102e5761102e843083611545565b50505050565b84421161106d576040517fdf8e437200000000000000000000000000000000000000000000000000000000815260040160405180910390fd5b8342106110a6576040517f0f05f5bf00000000000000000000000000000000000000000000000000000000815260040160405180910390fd5b73ffffffffffffffffffffffffffffffffffffffff86165f90815260046020908152604080832086845290915290205460ff1615611110576040517f9508f1f200000000000000000000000000000000000000000000000000000000815260040160405180910390fd5b73ffffffffffffffffffffffffffffffffffffffff86165f908152600460209081526040808320868452909152902080547fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff001660011790556111738683836111bd565b604051839073ffffffffffffffffffffffffffffffffffffffff8816907f98de503528ee59b575ef0c0a2576a82497bfc029a5685b209e9ec333479b10a5905f90a3505050505050565b5f6112c1604080518082018252600481527f555344430000000000000000000000000000000000000000000000000000000060209182015281518083018352600181527f32000000000000000000000000000000000000000000000000000000000000009082015281517f8b73c3c69bb8fe3d512ecc4cf759cc79239f7b179b0ffacaa9a75d522b39400f818301527fd6aca1be9729c13d677335161321649cccae6a591554772516700f986f942eaa818401527fad7c5bef027816a800da1736444fb58a807ef4c9603b7848673f7e3a68eb14a560608201524660808201523060a0808301919091528351808303909101815260c0909101909252815191012090565b6040517f190100000000000000000000000000000000000000000000000000000000000060208201526022810191909152604281018490526062016040516020818303038152906040528051906020012090508373ffffffffffffffffffffffffffffffffffffffff163b5f036113c15773ffffffffffffffffffffffffffffffffffffffff8416158061138a57508373ffffffffffffffffffffffffffffffffffffffff166113718284611685565b73ffffffffffffffffffffffffffffffffffffffff1614155b1561102e576040517f8baa579f00000000000000000000000000000000000000000000000000000000815260040160405180910390fd5b5f5f8573ffffffffffffffffffffffffffffffffffffffff16631626ba7e60e01b84866040516024016113f5929190611d2c565b604080517fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe08184030181529181526020820180517bffffffffffffffffffffffffffffffffffffffffffffffffffffffff167fffffffff0000000000000000000000000000000000000000000000000000000090941693909317909252905161147e9190611d4c565b5f60405180830381855afa9150503d805f81146114b6576040519150601f19603f3d011682016040523d82523d5f602084013e6114bb565b606091505b50915091508115806114ce575060208151105b8061150e575080517f1626ba7e000000000000000000000000000000000000000000000000000000009061150b9083016020908101908401611d62565b14155b15610b00576040517f8baa579f00000000000000000000000000000000000000000000000000000000815260040160405180910390fd5b73ffffffffffffffffffffffffffffffffffffffff8316158061157c575073ffffffffffffffffffffffffffffffffffffffff8216155b156115b3576040517fd92e233d00000000000000000000000000000000000000000000000000000000815260040160405180910390fd5b73ffffffffffffffffffffffffffffffffffffffff83165f9081526020819052604090205481811015611612576040517fa328167200000000000000000000000000000000000000000000000000000000815260040160405180910390fd5b73ffffffffffffffffffffffffffffffffffffffff8481165f81815260208181526040808320878703905593871680835291849020805487019055925185815290927fddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef910160405180910390a350505050565b5f815160411461169657505f6106cf565b6020820151604083015160608401515f1a7f7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a08211806116e857508060ff16601b141580156116e857508060ff16601c14155b156116f8575f93505050506106cf565b604080515f81526020810180835288905260ff831691810191909152606081018490526080810183905260019060a0016020604051602081039080840390855afa158015611748573d5f5f3e3d5ffd5b50506040517fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe00151979650505050505050565b803573ffffffffffffffffffffffffffffffffffffffff8116811461179e575f5ffd5b919050565b8035801515811461179e575f5ffd5b5f5f604083850312156117c3575f5ffd5b6117cc8361177b565b91506117da602084016117a3565b90509250929050565b5f81518084528060208401602086015e5f6020828601015260207fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe0601f83011685010191505092915050565b602081525f61184160208301846117e3565b9392505050565b5f5f60408385031215611859575f5ffd5b6118628361177b565b946020939093013593505050565b5f60208284031215611880575f5ffd5b611841826117a3565b5f5f5f6060848603121561189b575f5ffd5b6118a48461177b565b92506118b26020850161177b565b929592945050506040919091013590565b803560ff8116811461179e575f5ffd5b5f5f5f5f5f60a086880312156118e7575f5ffd5b6118f08661177b565b945060208601359350611905604087016118c3565b94979396509394606081013594506080013592915050565b5f6020828403121561192d575f5ffd5b5035919050565b5f60208284031215611944575f5ffd5b6118418261177b565b7f4e487b71000000000000000000000000000000000000000000000000000000005f52604160045260245ffd5b5f82601f830112611989575f5ffd5b813567ffffffffffffffff8111156119a3576119a361194d565b6040517fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe0603f7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe0601f8501160116810181811067ffffffffffffffff82111715611a0f57611a0f61194d565b604052818152838201602001851015611a26575f5ffd5b816020850160208301375f918101602001919091529392505050565b5f5f5f5f5f5f5f60e0888a031215611a58575f5ffd5b611a618861177b565b9650611a6f6020890161177b565b955060408801359450606088013593506080880135925060a0880135915060c088013567ffffffffffffffff811115611aa6575f5ffd5b611ab28a828b0161197a565b91505092959891949750929550565b5f5f5f5f5f60a08688031215611ad5575f5ffd5b611ade8661177b565b9450611aec6020870161177b565b93506040860135925060608601359150608086013567ffffffffffffffff811115611b15575f5ffd5b611b218882890161197a565b9150509295509295909350565b5f5f5f60608486031215611b40575f5ffd5b611b498461177b565b925060208401359150604084013567ffffffffffffffff811115611b6b575f5ffd5b611b778682870161197a565b9150509250925092565b5f5f5f5f5f5f5f60e0888a031215611b97575f5ffd5b611ba08861177b565b9650611bae6020890161177b565b95506040880135945060608801359350611bca608089016118c3565b9699959850939692959460a0840135945060c09093013592915050565b5f5f60408385031215611bf8575f5ffd5b611c018361177b565b91506117da6020840161177b565b5f5f5f5f5f5f5f5f5f6101208a8c031215611c28575f5ffd5b611c318a61177b565b9850611c3f60208b0161177b565b975060408a0135965060608a0135955060808a0135945060a08a01359350611c6960c08b016118c3565b989b979a50959894979396929550929360e081013593506101000135919050565b7f4e487b71000000000000000000000000000000000000000000000000000000005f52601160045260245ffd5b808201808211156106cf576106cf611c8a565b80820281158282048414176106cf576106cf611c8a565b5f82611d14577f4e487b71000000000000000000000000000000000000000000000000000000005f52601260045260245ffd5b500490565b818103818111156106cf576106cf611c8a565b828152604060208201525f611d4460408301846117e3565b949350505050565b5f82518060208501845e5f920191825250919050565b5f60208284031215611d72575f5ffd5b505191905056' as const
