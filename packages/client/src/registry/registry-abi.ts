/** What clients read of OpenGradient's registry of nodes on chain (spec/opengradient.md OG6). */

/** The part of its interface that reads nodes. Types and names are those of the published contract. */
export const registryAbi = [
  {
    type: 'function',
    name: 'getActiveTEEs',
    stateMutability: 'view',
    inputs: [{ name: 'teeType', type: 'uint8' }],
    outputs: [
      {
        name: '',
        type: 'tuple[]',
        components: [
          { name: 'owner', type: 'address' },
          { name: 'paymentAddress', type: 'address' },
          { name: 'endpoint', type: 'string' },
          { name: 'publicKey', type: 'bytes' },
          { name: 'tlsCertificate', type: 'bytes' },
          { name: 'pcrHash', type: 'bytes32' },
          { name: 'teeType', type: 'uint8' },
          { name: 'enabled', type: 'bool' },
          { name: 'registeredAt', type: 'uint256' },
          { name: 'lastHeartbeatAt', type: 'uint256' },
        ],
      },
    ],
  },
  {
    type: 'function',
    name: 'getEnabledTEEs',
    stateMutability: 'view',
    inputs: [{ name: 'teeType', type: 'uint8' }],
    outputs: [{ name: '', type: 'bytes32[]' }],
  },
  {
    type: 'function',
    name: 'getTEEsByType',
    stateMutability: 'view',
    inputs: [{ name: 'teeType', type: 'uint8' }],
    outputs: [{ name: '', type: 'bytes32[]' }],
  },
  {
    type: 'function',
    name: 'getTEE',
    stateMutability: 'view',
    inputs: [{ name: 'teeId', type: 'bytes32' }],
    outputs: [
      {
        name: '',
        type: 'tuple',
        components: [
          { name: 'owner', type: 'address' },
          { name: 'paymentAddress', type: 'address' },
          { name: 'endpoint', type: 'string' },
          { name: 'publicKey', type: 'bytes' },
          { name: 'tlsCertificate', type: 'bytes' },
          { name: 'pcrHash', type: 'bytes32' },
          { name: 'teeType', type: 'uint8' },
          { name: 'enabled', type: 'bool' },
          { name: 'registeredAt', type: 'uint256' },
          { name: 'lastHeartbeatAt', type: 'uint256' },
        ],
      },
    ],
  },
  {
    type: 'function',
    name: 'getTEEPublicKey',
    stateMutability: 'view',
    inputs: [{ name: 'teeId', type: 'bytes32' }],
    outputs: [{ name: '', type: 'bytes' }],
  },
  {
    type: 'function',
    name: 'isTEEActive',
    stateMutability: 'view',
    inputs: [{ name: 'teeId', type: 'bytes32' }],
    outputs: [{ name: '', type: 'bool' }],
  },
  {
    type: 'function',
    name: 'isTEEEnabled',
    stateMutability: 'view',
    inputs: [{ name: 'teeId', type: 'bytes32' }],
    outputs: [{ name: '', type: 'bool' }],
  },
  { type: 'error', name: 'TEENotFound', inputs: [] },
] as const

/** The type of a node that passes calls on to models. */
export const proxyType = 0
