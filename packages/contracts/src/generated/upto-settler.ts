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
  '0x60e060405234801561000f575f5ffd5b50604051610f74380380610f7483398101604081905261002e916100c1565b82826001600160a01b0382163b1580610045575080155b15610063576040516311a1e69760e01b815260040160405180910390fd5b6001600160a01b0391821660805260a05281163b5f0361009657604051632e7973df60e21b815260040160405180910390fd5b6001600160a01b031660c052506101019050565b6001600160a01b03811681146100be575f5ffd5b50565b5f5f5f606084860312156100d3575f5ffd5b83516100de816100aa565b6020850151604086015191945092506100f6816100aa565b809150509250925092565b60805160a05160c051610e2f6101455f395f8181610325015281816103c5015261048b01525f8181608e015261078901525f818160c801526107db0152610e2f5ff3fe608060405234801561000f575f5ffd5b5060043610610085575f3560e01c8063702aa19e11610058578063702aa19e14610137578063a2b8517314610316578063a8c92d4814610320578063ee4390a214610347575f5ffd5b80630254b34c1461008957806306433b1b146100c35780632e1be85a1461010f5780636f63b91514610124575b5f5ffd5b6100b07f000000000000000000000000000000000000000000000000000000000000000081565b6040519081526020015b60405180910390f35b6100ea7f000000000000000000000000000000000000000000000000000000000000000081565b60405173ffffffffffffffffffffffffffffffffffffffff90911681526020016100ba565b61012261011d366004610a1b565b61036e565b005b610122610132366004610ac9565b61043b565b6100b0610145366004610b93565b604080518082018252601881527f436f756e7465727369676e205570746f20536574746c6572000000000000000060209182015281518083018352600181527f31000000000000000000000000000000000000000000000000000000000000009082015281517f8b73c3c69bb8fe3d512ecc4cf759cc79239f7b179b0ffacaa9a75d522b39400f818301527fb67c5904db782855fc10e78bfb6874ee97b6c2fd83f1b25e8a09734779bce366818401527fc89efdaa54c0f20c7adf612882df0950f5a951637e0307cdcb4c672f298b8bc660608201524660808201523060a0808301919091528351808303909101815260c0820184528051908301207fa6e75c8aa106376fe147a12d510f4359e806b6345892d023c1f4116755cb952260e083015273ffffffffffffffffffffffffffffffffffffffff9889166101008301529688166101208201529490961661014085015261016084019290925261018080840191909152815180840390910181526101a0830182528051908501207f19010000000000000000000000000000000000000000000000000000000000006101c08401526101c28301939093526101e280830193909352805180830390930183526102029091019052805191012090565b6100b06202a30081565b6100ea7f000000000000000000000000000000000000000000000000000000000000000081565b6100b07fa6e75c8aa106376fe147a12d510f4359e806b6345892d023c1f4116755cb952281565b61038888888861038160208a018a610be4565b8686610504565b6040517fff11e7b400000000000000000000000000000000000000000000000000000000815273ffffffffffffffffffffffffffffffffffffffff7f0000000000000000000000000000000000000000000000000000000000000000169063ff11e7b490610404908b908b908b908b908b908b90600401610cde565b5f604051808303815f87803b15801561041b575f5ffd5b505af115801561042d573d5f5f3e3d5ffd5b505050505050505050505050565b61044e88888861038160208a018a610be4565b6040517f016c174800000000000000000000000000000000000000000000000000000000815273ffffffffffffffffffffffffffffffffffffffff7f0000000000000000000000000000000000000000000000000000000000000000169063016c1748906104cc908c908c908c908c908c908c908c90600401610d3c565b5f604051808303815f87803b1580156104e3575f5ffd5b505af11580156104f5573d5f5f3e3d5ffd5b50505050505050505050505050565b5f6106e68561051660208a018a610be4565b604080518082018252601881527f436f756e7465727369676e205570746f20536574746c6572000000000000000060209182015281518083018352600181527f31000000000000000000000000000000000000000000000000000000000000009082015281517f8b73c3c69bb8fe3d512ecc4cf759cc79239f7b179b0ffacaa9a75d522b39400f818301527fb67c5904db782855fc10e78bfb6874ee97b6c2fd83f1b25e8a09734779bce366818401527fc89efdaa54c0f20c7adf612882df0950f5a951637e0307cdcb4c672f298b8bc660608201524660808201523060a0808301919091528351808303909101815260c0820184528051908301207fa6e75c8aa106376fe147a12d510f4359e806b6345892d023c1f4116755cb952260e083015273ffffffffffffffffffffffffffffffffffffffff958616610100830152938516610120820152938916610140850152818c01356101608501526101808085018c9052825180860390910181526101a0850183528051908201207f19010000000000000000000000000000000000000000000000000000000000006101c08601526101c28501939093526101e280850193909352815180850390930183526102029093019052805191012090565b90506106f3818484610732565b610729576040517fc0b2061200000000000000000000000000000000000000000000000000000000815260040160405180910390fd5b50505050505050565b5f5f5f61074086868661084e565b5090925090505f81600381111561075957610759610de3565b14801561084457506040517fa132076c0000000000000000000000000000000000000000000000000000000081527f0000000000000000000000000000000000000000000000000000000000000000600482015273ffffffffffffffffffffffffffffffffffffffff83811660248301524260448301526202a30060648301527f0000000000000000000000000000000000000000000000000000000000000000169063a132076c90608401602060405180830381865afa158015610820573d5f5f3e3d5ffd5b505050506040513d601f19601f820116820180604052508101906108449190610e10565b9695505050505050565b5f80806041849003610882578435602086013560408701355f1a61087489828585610895565b95509550955050505061088c565b505f915060029050825b93509350939050565b5f80807f7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a08411156108ce57505f9150600390508261097e565b604080515f808252602082018084528a905260ff891692820192909252606081018790526080810186905260019060a0016020604051602081039080840390855afa15801561091f573d5f5f3e3d5ffd5b50506040517fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe0015191505073ffffffffffffffffffffffffffffffffffffffff811661097557505f92506001915082905061097e565b92505f91508190505b9450945094915050565b5f60808284031215610998575f5ffd5b50919050565b803573ffffffffffffffffffffffffffffffffffffffff811681146109c1575f5ffd5b919050565b5f60608284031215610998575f5ffd5b5f5f83601f8401126109e6575f5ffd5b50813567ffffffffffffffff8111156109fd575f5ffd5b602083019150836020828501011115610a14575f5ffd5b9250929050565b5f5f5f5f5f5f5f5f610160898b031215610a33575f5ffd5b610a3d8a8a610988565b975060808901359650610a5260a08a0161099e565b9550610a618a60c08b016109c6565b945061012089013567ffffffffffffffff811115610a7d575f5ffd5b610a898b828c016109d6565b90955093505061014089013567ffffffffffffffff811115610aa9575f5ffd5b610ab58b828c016109d6565b999c989b5096995094979396929594505050565b5f5f5f5f5f5f5f5f5f898b03610200811215610ae3575f5ffd5b60a0811215610af0575f5ffd5b50899850610b018b60a08c01610988565b97506101208a01359650610b186101408b0161099e565b9550610b288b6101608c016109c6565b94506101c08a013567ffffffffffffffff811115610b44575f5ffd5b610b508c828d016109d6565b9095509350506101e08a013567ffffffffffffffff811115610b70575f5ffd5b610b7c8c828d016109d6565b915080935050809150509295985092959850929598565b5f5f5f5f5f60a08688031215610ba7575f5ffd5b610bb08661099e565b9450610bbe6020870161099e565b9350610bcc6040870161099e565b94979396509394606081013594506080013592915050565b5f60208284031215610bf4575f5ffd5b610bfd8261099e565b9392505050565b73ffffffffffffffffffffffffffffffffffffffff610c228261099e565b1682526020818101359083015260408082013590830152606090810135910152565b73ffffffffffffffffffffffffffffffffffffffff610c628261099e565b16825273ffffffffffffffffffffffffffffffffffffffff610c866020830161099e565b166020830152604090810135910152565b81835281816020850137505f602082840101525f60207fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe0601f840116840101905092915050565b610ce88188610c04565b85608082015273ffffffffffffffffffffffffffffffffffffffff851660a0820152610d1760c0820185610c44565b6101406101208201525f610d3061014083018486610c97565b98975050505050505050565b873581526020808901359082015260408089013590820152606080890135908201525f608089013560ff8116808214610d73575f5ffd5b608084015250610d8660a0830189610c04565b86610120830152610db061014083018773ffffffffffffffffffffffffffffffffffffffff169052565b610dbe610160830186610c44565b6101e06101c0830152610dd66101e083018486610c97565b9998505050505050505050565b7f4e487b71000000000000000000000000000000000000000000000000000000005f52602160045260245ffd5b5f60208284031215610e20575f5ffd5b81518015158114610bfd575f5ffd' as const
