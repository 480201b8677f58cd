// Generated from src/solidity/operator/UptoSettler.sol. Do not edit: run `npm run generate`.

/** The ABI of `operator/UptoSettler.sol`. */
export const uptoSettlerAbi = [
  {
    inputs: [
      {
        internalType: 'contract IKeyRegistry',
        name: 'registry',
        type: 'address',
      },
      {
        internalType: 'bytes32',
        name: 'gatewayId',
        type: 'bytes32',
      },
      {
        internalType: 'contract x402UptoPermit2Proxy',
        name: 'proxy',
        type: 'address',
      },
    ],
    stateMutability: 'nonpayable',
    type: 'constructor',
  },
  {
    inputs: [],
    name: 'InvalidProxy',
    type: 'error',
  },
  {
    inputs: [],
    name: 'InvalidRegistry',
    type: 'error',
  },
  {
    inputs: [],
    name: 'UntrustedCharge',
    type: 'error',
  },
  {
    anonymous: false,
    inputs: [
      {
        indexed: true,
        internalType: 'address',
        name: 'payer',
        type: 'address',
      },
      {
        indexed: true,
        internalType: 'uint256',
        name: 'nonce',
        type: 'uint256',
      },
      {
        indexed: false,
        internalType: 'uint256',
        name: 'amount',
        type: 'uint256',
      },
    ],
    name: 'ChargeSettled',
    type: 'event',
  },
  {
    inputs: [],
    name: 'GATEWAY_ID',
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
    name: 'GRACE_SECONDS',
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
    name: 'PROXY',
    outputs: [
      {
        internalType: 'contract x402UptoPermit2Proxy',
        name: '',
        type: 'address',
      },
    ],
    stateMutability: 'view',
    type: 'function',
  },
  {
    inputs: [],
    name: 'REGISTRY',
    outputs: [
      {
        internalType: 'contract IKeyRegistry',
        name: '',
        type: 'address',
      },
    ],
    stateMutability: 'view',
    type: 'function',
  },
  {
    inputs: [],
    name: 'UPTO_CHARGE_TYPEHASH',
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
        name: 'payer',
        type: 'address',
      },
      {
        internalType: 'address',
        name: 'token',
        type: 'address',
      },
      {
        internalType: 'address',
        name: 'payee',
        type: 'address',
      },
      {
        internalType: 'uint256',
        name: 'nonce',
        type: 'uint256',
      },
      {
        internalType: 'uint256',
        name: 'amount',
        type: 'uint256',
      },
    ],
    name: 'getChargeDigest',
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
        components: [
          {
            components: [
              {
                internalType: 'address',
                name: 'token',
                type: 'address',
              },
              {
                internalType: 'uint256',
                name: 'amount',
                type: 'uint256',
              },
            ],
            internalType: 'struct ISignatureTransfer.TokenPermissions',
            name: 'permitted',
            type: 'tuple',
          },
          {
            internalType: 'uint256',
            name: 'nonce',
            type: 'uint256',
          },
          {
            internalType: 'uint256',
            name: 'deadline',
            type: 'uint256',
          },
        ],
        internalType: 'struct ISignatureTransfer.PermitTransferFrom',
        name: 'permit',
        type: 'tuple',
      },
      {
        internalType: 'uint256',
        name: 'amount',
        type: 'uint256',
      },
      {
        internalType: 'address',
        name: 'owner',
        type: 'address',
      },
      {
        components: [
          {
            internalType: 'address',
            name: 'to',
            type: 'address',
          },
          {
            internalType: 'address',
            name: 'facilitator',
            type: 'address',
          },
          {
            internalType: 'uint256',
            name: 'validAfter',
            type: 'uint256',
          },
        ],
        internalType: 'struct x402UptoPermit2Proxy.Witness',
        name: 'witness',
        type: 'tuple',
      },
      {
        internalType: 'bytes',
        name: 'signature',
        type: 'bytes',
      },
      {
        internalType: 'bytes',
        name: 'chargeSignature',
        type: 'bytes',
      },
    ],
    name: 'settle',
    outputs: [],
    stateMutability: 'nonpayable',
    type: 'function',
  },
  {
    inputs: [
      {
        components: [
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
            internalType: 'bytes32',
            name: 'r',
            type: 'bytes32',
          },
          {
            internalType: 'bytes32',
            name: 's',
            type: 'bytes32',
          },
          {
            internalType: 'uint8',
            name: 'v',
            type: 'uint8',
          },
        ],
        internalType: 'struct Permit2Proxy.EIP2612Permit',
        name: 'permit2612',
        type: 'tuple',
      },
      {
        components: [
          {
            components: [
              {
                internalType: 'address',
                name: 'token',
                type: 'address',
              },
              {
                internalType: 'uint256',
                name: 'amount',
                type: 'uint256',
              },
            ],
            internalType: 'struct ISignatureTransfer.TokenPermissions',
            name: 'permitted',
            type: 'tuple',
          },
          {
            internalType: 'uint256',
            name: 'nonce',
            type: 'uint256',
          },
          {
            internalType: 'uint256',
            name: 'deadline',
            type: 'uint256',
          },
        ],
        internalType: 'struct ISignatureTransfer.PermitTransferFrom',
        name: 'permit',
        type: 'tuple',
      },
      {
        internalType: 'uint256',
        name: 'amount',
        type: 'uint256',
      },
      {
        internalType: 'address',
        name: 'owner',
        type: 'address',
      },
      {
        components: [
          {
            internalType: 'address',
            name: 'to',
            type: 'address',
          },
          {
            internalType: 'address',
            name: 'facilitator',
            type: 'address',
          },
          {
            internalType: 'uint256',
            name: 'validAfter',
            type: 'uint256',
          },
        ],
        internalType: 'struct x402UptoPermit2Proxy.Witness',
        name: 'witness',
        type: 'tuple',
      },
      {
        internalType: 'bytes',
        name: 'signature',
        type: 'bytes',
      },
      {
        internalType: 'bytes',
        name: 'chargeSignature',
        type: 'bytes',
      },
    ],
    name: 'settleWithPermit',
    outputs: [],
    stateMutability: 'nonpayable',
    type: 'function',
  },
] as const

/** Creation code: what a deployment transaction carries, followed by its arguments. */
export const uptoSettlerCreationCode =
  '0x60e060405234801561000f575f5ffd5b5060405161101e38038061101e83398101604081905261002e916100c1565b82826001600160a01b0382163b1580610045575080155b15610063576040516311a1e69760e01b815260040160405180910390fd5b6001600160a01b0391821660805260a05281163b5f0361009657604051632e7973df60e21b815260040160405180910390fd5b6001600160a01b031660c052506101019050565b6001600160a01b03811681146100be575f5ffd5b50565b5f5f5f606084860312156100d3575f5ffd5b83516100de816100aa565b6020850151604086015191945092506100f6816100aa565b809150509250925092565b60805160a05160c051610ed96101455f395f8181610325015281816103c501526104e001525f8181608e015261083301525f818160c801526108850152610ed95ff3fe608060405234801561000f575f5ffd5b5060043610610085575f3560e01c8063702aa19e11610058578063702aa19e14610137578063a2b8517314610316578063a8c92d4814610320578063ee4390a214610347575f5ffd5b80630254b34c1461008957806306433b1b146100c35780632e1be85a1461010f5780636f63b91514610124575b5f5ffd5b6100b07f000000000000000000000000000000000000000000000000000000000000000081565b6040519081526020015b60405180910390f35b6100ea7f000000000000000000000000000000000000000000000000000000000000000081565b60405173ffffffffffffffffffffffffffffffffffffffff90911681526020016100ba565b61012261011d366004610ac5565b61036e565b005b610122610132366004610b73565b610490565b6100b0610145366004610c3d565b604080518082018252601881527f436f756e7465727369676e205570746f20536574746c6572000000000000000060209182015281518083018352600181527f31000000000000000000000000000000000000000000000000000000000000009082015281517f8b73c3c69bb8fe3d512ecc4cf759cc79239f7b179b0ffacaa9a75d522b39400f818301527fb67c5904db782855fc10e78bfb6874ee97b6c2fd83f1b25e8a09734779bce366818401527fc89efdaa54c0f20c7adf612882df0950f5a951637e0307cdcb4c672f298b8bc660608201524660808201523060a0808301919091528351808303909101815260c0820184528051908301207fa6e75c8aa106376fe147a12d510f4359e806b6345892d023c1f4116755cb952260e083015273ffffffffffffffffffffffffffffffffffffffff9889166101008301529688166101208201529490961661014085015261016084019290925261018080840191909152815180840390910181526101a0830182528051908501207f19010000000000000000000000000000000000000000000000000000000000006101c08401526101c28301939093526101e280830193909352805180830390930183526102029091019052805191012090565b6100b06202a30081565b6100ea7f000000000000000000000000000000000000000000000000000000000000000081565b6100b07fa6e75c8aa106376fe147a12d510f4359e806b6345892d023c1f4116755cb952281565b61038888888861038160208a018a610c8e565b86866105ae565b6040517fff11e7b400000000000000000000000000000000000000000000000000000000815273ffffffffffffffffffffffffffffffffffffffff7f0000000000000000000000000000000000000000000000000000000000000000169063ff11e7b490610404908b908b908b908b908b908b90600401610d88565b5f604051808303815f87803b15801561041b575f5ffd5b505af115801561042d573d5f5f3e3d5ffd5b5050505087604001358673ffffffffffffffffffffffffffffffffffffffff167f4600d5ac56c6c549b32b607c8d799834434d28bf5b6a2f0a680ef25aee3012938960405161047e91815260200190565b60405180910390a35050505050505050565b6104a388888861038160208a018a610c8e565b6040517f016c174800000000000000000000000000000000000000000000000000000000815273ffffffffffffffffffffffffffffffffffffffff7f0000000000000000000000000000000000000000000000000000000000000000169063016c174890610521908c908c908c908c908c908c908c90600401610de6565b5f604051808303815f87803b158015610538575f5ffd5b505af115801561054a573d5f5f3e3d5ffd5b5050505087604001358673ffffffffffffffffffffffffffffffffffffffff167f4600d5ac56c6c549b32b607c8d799834434d28bf5b6a2f0a680ef25aee3012938960405161059b91815260200190565b60405180910390a3505050505050505050565b5f610790856105c060208a018a610c8e565b604080518082018252601881527f436f756e7465727369676e205570746f20536574746c6572000000000000000060209182015281518083018352600181527f31000000000000000000000000000000000000000000000000000000000000009082015281517f8b73c3c69bb8fe3d512ecc4cf759cc79239f7b179b0ffacaa9a75d522b39400f818301527fb67c5904db782855fc10e78bfb6874ee97b6c2fd83f1b25e8a09734779bce366818401527fc89efdaa54c0f20c7adf612882df0950f5a951637e0307cdcb4c672f298b8bc660608201524660808201523060a0808301919091528351808303909101815260c0820184528051908301207fa6e75c8aa106376fe147a12d510f4359e806b6345892d023c1f4116755cb952260e083015273ffffffffffffffffffffffffffffffffffffffff958616610100830152938516610120820152938916610140850152818c01356101608501526101808085018c9052825180860390910181526101a0850183528051908201207f19010000000000000000000000000000000000000000000000000000000000006101c08601526101c28501939093526101e280850193909352815180850390930183526102029093019052805191012090565b905061079d8184846107dc565b6107d3576040517fc0b2061200000000000000000000000000000000000000000000000000000000815260040160405180910390fd5b50505050505050565b5f5f5f6107ea8686866108f8565b5090925090505f81600381111561080357610803610e8d565b1480156108ee57506040517fa132076c0000000000000000000000000000000000000000000000000000000081527f0000000000000000000000000000000000000000000000000000000000000000600482015273ffffffffffffffffffffffffffffffffffffffff83811660248301524260448301526202a30060648301527f0000000000000000000000000000000000000000000000000000000000000000169063a132076c90608401602060405180830381865afa1580156108ca573d5f5f3e3d5ffd5b505050506040513d601f19601f820116820180604052508101906108ee9190610eba565b9695505050505050565b5f8080604184900361092c578435602086013560408701355f1a61091e8982858561093f565b955095509550505050610936565b505f915060029050825b93509350939050565b5f80807f7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a084111561097857505f91506003905082610a28565b604080515f808252602082018084528a905260ff891692820192909252606081018790526080810186905260019060a0016020604051602081039080840390855afa1580156109c9573d5f5f3e3d5ffd5b50506040517fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe0015191505073ffffffffffffffffffffffffffffffffffffffff8116610a1f57505f925060019150829050610a28565b92505f91508190505b9450945094915050565b5f60808284031215610a42575f5ffd5b50919050565b803573ffffffffffffffffffffffffffffffffffffffff81168114610a6b575f5ffd5b919050565b5f60608284031215610a42575f5ffd5b5f5f83601f840112610a90575f5ffd5b50813567ffffffffffffffff811115610aa7575f5ffd5b602083019150836020828501011115610abe575f5ffd5b9250929050565b5f5f5f5f5f5f5f5f610160898b031215610add575f5ffd5b610ae78a8a610a32565b975060808901359650610afc60a08a01610a48565b9550610b0b8a60c08b01610a70565b945061012089013567ffffffffffffffff811115610b27575f5ffd5b610b338b828c01610a80565b90955093505061014089013567ffffffffffffffff811115610b53575f5ffd5b610b5f8b828c01610a80565b999c989b5096995094979396929594505050565b5f5f5f5f5f5f5f5f5f898b03610200811215610b8d575f5ffd5b60a0811215610b9a575f5ffd5b50899850610bab8b60a08c01610a32565b97506101208a01359650610bc26101408b01610a48565b9550610bd28b6101608c01610a70565b94506101c08a013567ffffffffffffffff811115610bee575f5ffd5b610bfa8c828d01610a80565b9095509350506101e08a013567ffffffffffffffff811115610c1a575f5ffd5b610c268c828d01610a80565b915080935050809150509295985092959850929598565b5f5f5f5f5f60a08688031215610c51575f5ffd5b610c5a86610a48565b9450610c6860208701610a48565b9350610c7660408701610a48565b94979396509394606081013594506080013592915050565b5f60208284031215610c9e575f5ffd5b610ca782610a48565b9392505050565b73ffffffffffffffffffffffffffffffffffffffff610ccc82610a48565b1682526020818101359083015260408082013590830152606090810135910152565b73ffffffffffffffffffffffffffffffffffffffff610d0c82610a48565b16825273ffffffffffffffffffffffffffffffffffffffff610d3060208301610a48565b166020830152604090810135910152565b81835281816020850137505f602082840101525f60207fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe0601f840116840101905092915050565b610d928188610cae565b85608082015273ffffffffffffffffffffffffffffffffffffffff851660a0820152610dc160c0820185610cee565b6101406101208201525f610dda61014083018486610d41565b98975050505050505050565b873581526020808901359082015260408089013590820152606080890135908201525f608089013560ff8116808214610e1d575f5ffd5b608084015250610e3060a0830189610cae565b86610120830152610e5a61014083018773ffffffffffffffffffffffffffffffffffffffff169052565b610e68610160830186610cee565b6101e06101c0830152610e806101e083018486610d41565b9998505050505050505050565b7f4e487b71000000000000000000000000000000000000000000000000000000005f52602160045260245ffd5b5f60208284031215610eca575f5ffd5b81518015158114610ca7575f5ffd' as const
