// Generated from src/solidity/x402/x402BatchSettlement.sol. Do not edit: run `npm run generate`.

/** The ABI of `x402/x402BatchSettlement.sol`. */
export const batchSettlementAbi = [
  {
    inputs: [
      {
        internalType: 'address',
        name: 'target',
        type: 'address',
      },
    ],
    name: 'AddressEmptyCode',
    type: 'error',
  },
  {
    inputs: [],
    name: 'ClaimExceedsBalance',
    type: 'error',
  },
  {
    inputs: [],
    name: 'ClaimExceedsCeiling',
    type: 'error',
  },
  {
    inputs: [],
    name: 'DepositCollectionFailed',
    type: 'error',
  },
  {
    inputs: [],
    name: 'DepositOverflow',
    type: 'error',
  },
  {
    inputs: [],
    name: 'ECDSAInvalidSignature',
    type: 'error',
  },
  {
    inputs: [
      {
        internalType: 'uint256',
        name: 'length',
        type: 'uint256',
      },
    ],
    name: 'ECDSAInvalidSignatureLength',
    type: 'error',
  },
  {
    inputs: [
      {
        internalType: 'bytes32',
        name: 's',
        type: 'bytes32',
      },
    ],
    name: 'ECDSAInvalidSignatureS',
    type: 'error',
  },
  {
    inputs: [],
    name: 'EmptyBatch',
    type: 'error',
  },
  {
    inputs: [],
    name: 'FailedCall',
    type: 'error',
  },
  {
    inputs: [],
    name: 'InvalidChannel',
    type: 'error',
  },
  {
    inputs: [],
    name: 'InvalidCollector',
    type: 'error',
  },
  {
    inputs: [],
    name: 'InvalidRefundNonce',
    type: 'error',
  },
  {
    inputs: [],
    name: 'InvalidSignature',
    type: 'error',
  },
  {
    inputs: [],
    name: 'NotAuthorizedToClaim',
    type: 'error',
  },
  {
    inputs: [],
    name: 'NotAuthorizedToFinalizeWithdraw',
    type: 'error',
  },
  {
    inputs: [],
    name: 'NotAuthorizedToRefund',
    type: 'error',
  },
  {
    inputs: [],
    name: 'NotReceiverAuthorizer',
    type: 'error',
  },
  {
    inputs: [],
    name: 'NothingToWithdraw',
    type: 'error',
  },
  {
    inputs: [],
    name: 'ReentrancyGuardReentrantCall',
    type: 'error',
  },
  {
    inputs: [
      {
        internalType: 'address',
        name: 'token',
        type: 'address',
      },
    ],
    name: 'SafeERC20FailedOperation',
    type: 'error',
  },
  {
    inputs: [],
    name: 'WithdrawAmountExceedsAvailable',
    type: 'error',
  },
  {
    inputs: [],
    name: 'WithdrawDelayNotElapsed',
    type: 'error',
  },
  {
    inputs: [],
    name: 'WithdrawDelayOutOfRange',
    type: 'error',
  },
  {
    inputs: [],
    name: 'WithdrawalAlreadyPending',
    type: 'error',
  },
  {
    inputs: [],
    name: 'WithdrawalNotPending',
    type: 'error',
  },
  {
    inputs: [],
    name: 'ZeroDeposit',
    type: 'error',
  },
  {
    inputs: [],
    name: 'ZeroRefund',
    type: 'error',
  },
  {
    anonymous: false,
    inputs: [
      {
        indexed: true,
        internalType: 'bytes32',
        name: 'channelId',
        type: 'bytes32',
      },
      {
        components: [
          {
            internalType: 'address',
            name: 'payer',
            type: 'address',
          },
          {
            internalType: 'address',
            name: 'payerAuthorizer',
            type: 'address',
          },
          {
            internalType: 'address',
            name: 'receiver',
            type: 'address',
          },
          {
            internalType: 'address',
            name: 'receiverAuthorizer',
            type: 'address',
          },
          {
            internalType: 'address',
            name: 'token',
            type: 'address',
          },
          {
            internalType: 'uint40',
            name: 'withdrawDelay',
            type: 'uint40',
          },
          {
            internalType: 'bytes32',
            name: 'salt',
            type: 'bytes32',
          },
        ],
        indexed: false,
        internalType: 'struct ChannelConfig',
        name: 'config',
        type: 'tuple',
      },
    ],
    name: 'ChannelClosed',
    type: 'event',
  },
  {
    anonymous: false,
    inputs: [
      {
        indexed: true,
        internalType: 'bytes32',
        name: 'channelId',
        type: 'bytes32',
      },
      {
        components: [
          {
            internalType: 'address',
            name: 'payer',
            type: 'address',
          },
          {
            internalType: 'address',
            name: 'payerAuthorizer',
            type: 'address',
          },
          {
            internalType: 'address',
            name: 'receiver',
            type: 'address',
          },
          {
            internalType: 'address',
            name: 'receiverAuthorizer',
            type: 'address',
          },
          {
            internalType: 'address',
            name: 'token',
            type: 'address',
          },
          {
            internalType: 'uint40',
            name: 'withdrawDelay',
            type: 'uint40',
          },
          {
            internalType: 'bytes32',
            name: 'salt',
            type: 'bytes32',
          },
        ],
        indexed: false,
        internalType: 'struct ChannelConfig',
        name: 'config',
        type: 'tuple',
      },
    ],
    name: 'ChannelCreated',
    type: 'event',
  },
  {
    anonymous: false,
    inputs: [
      {
        indexed: true,
        internalType: 'bytes32',
        name: 'channelId',
        type: 'bytes32',
      },
      {
        indexed: true,
        internalType: 'address',
        name: 'sender',
        type: 'address',
      },
      {
        indexed: false,
        internalType: 'uint128',
        name: 'claimAmount',
        type: 'uint128',
      },
      {
        indexed: false,
        internalType: 'uint128',
        name: 'newTotalClaimed',
        type: 'uint128',
      },
    ],
    name: 'Claimed',
    type: 'event',
  },
  {
    anonymous: false,
    inputs: [
      {
        indexed: true,
        internalType: 'bytes32',
        name: 'channelId',
        type: 'bytes32',
      },
      {
        indexed: true,
        internalType: 'address',
        name: 'sender',
        type: 'address',
      },
      {
        indexed: false,
        internalType: 'uint128',
        name: 'amount',
        type: 'uint128',
      },
      {
        indexed: false,
        internalType: 'uint128',
        name: 'newBalance',
        type: 'uint128',
      },
    ],
    name: 'Deposited',
    type: 'event',
  },
  {
    anonymous: false,
    inputs: [
      {
        indexed: true,
        internalType: 'bytes32',
        name: 'channelId',
        type: 'bytes32',
      },
      {
        indexed: true,
        internalType: 'address',
        name: 'sender',
        type: 'address',
      },
      {
        indexed: false,
        internalType: 'uint128',
        name: 'amount',
        type: 'uint128',
      },
    ],
    name: 'Refunded',
    type: 'event',
  },
  {
    anonymous: false,
    inputs: [
      {
        indexed: true,
        internalType: 'address',
        name: 'receiver',
        type: 'address',
      },
      {
        indexed: true,
        internalType: 'address',
        name: 'token',
        type: 'address',
      },
      {
        indexed: true,
        internalType: 'address',
        name: 'sender',
        type: 'address',
      },
      {
        indexed: false,
        internalType: 'uint128',
        name: 'amount',
        type: 'uint128',
      },
    ],
    name: 'Settled',
    type: 'event',
  },
  {
    anonymous: false,
    inputs: [
      {
        indexed: true,
        internalType: 'bytes32',
        name: 'channelId',
        type: 'bytes32',
      },
      {
        indexed: true,
        internalType: 'address',
        name: 'sender',
        type: 'address',
      },
      {
        indexed: false,
        internalType: 'uint128',
        name: 'amount',
        type: 'uint128',
      },
    ],
    name: 'WithdrawFinalized',
    type: 'event',
  },
  {
    anonymous: false,
    inputs: [
      {
        indexed: true,
        internalType: 'bytes32',
        name: 'channelId',
        type: 'bytes32',
      },
      {
        indexed: false,
        internalType: 'uint128',
        name: 'amount',
        type: 'uint128',
      },
      {
        indexed: false,
        internalType: 'uint40',
        name: 'finalizeAfter',
        type: 'uint40',
      },
    ],
    name: 'WithdrawInitiated',
    type: 'event',
  },
  {
    inputs: [],
    name: 'CHANNEL_CONFIG_TYPEHASH',
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
    name: 'CLAIM_BATCH_TYPEHASH',
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
    name: 'CLAIM_ENTRY_TYPEHASH',
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
    name: 'MAX_WITHDRAW_DELAY',
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
    name: 'MIN_WITHDRAW_DELAY',
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
    name: 'REFUND_TYPEHASH',
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
    name: 'VOUCHER_TYPEHASH',
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
        internalType: 'bytes32',
        name: 'channelId',
        type: 'bytes32',
      },
    ],
    name: 'channels',
    outputs: [
      {
        internalType: 'uint128',
        name: 'balance',
        type: 'uint128',
      },
      {
        internalType: 'uint128',
        name: 'totalClaimed',
        type: 'uint128',
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
                components: [
                  {
                    internalType: 'address',
                    name: 'payer',
                    type: 'address',
                  },
                  {
                    internalType: 'address',
                    name: 'payerAuthorizer',
                    type: 'address',
                  },
                  {
                    internalType: 'address',
                    name: 'receiver',
                    type: 'address',
                  },
                  {
                    internalType: 'address',
                    name: 'receiverAuthorizer',
                    type: 'address',
                  },
                  {
                    internalType: 'address',
                    name: 'token',
                    type: 'address',
                  },
                  {
                    internalType: 'uint40',
                    name: 'withdrawDelay',
                    type: 'uint40',
                  },
                  {
                    internalType: 'bytes32',
                    name: 'salt',
                    type: 'bytes32',
                  },
                ],
                internalType: 'struct ChannelConfig',
                name: 'channel',
                type: 'tuple',
              },
              {
                internalType: 'uint128',
                name: 'maxClaimableAmount',
                type: 'uint128',
              },
            ],
            internalType: 'struct Voucher',
            name: 'voucher',
            type: 'tuple',
          },
          {
            internalType: 'bytes',
            name: 'signature',
            type: 'bytes',
          },
          {
            internalType: 'uint128',
            name: 'totalClaimed',
            type: 'uint128',
          },
        ],
        internalType: 'struct VoucherClaim[]',
        name: 'voucherClaims',
        type: 'tuple[]',
      },
    ],
    name: 'claim',
    outputs: [],
    stateMutability: 'nonpayable',
    type: 'function',
  },
  {
    inputs: [
      {
        components: [
          {
            components: [
              {
                components: [
                  {
                    internalType: 'address',
                    name: 'payer',
                    type: 'address',
                  },
                  {
                    internalType: 'address',
                    name: 'payerAuthorizer',
                    type: 'address',
                  },
                  {
                    internalType: 'address',
                    name: 'receiver',
                    type: 'address',
                  },
                  {
                    internalType: 'address',
                    name: 'receiverAuthorizer',
                    type: 'address',
                  },
                  {
                    internalType: 'address',
                    name: 'token',
                    type: 'address',
                  },
                  {
                    internalType: 'uint40',
                    name: 'withdrawDelay',
                    type: 'uint40',
                  },
                  {
                    internalType: 'bytes32',
                    name: 'salt',
                    type: 'bytes32',
                  },
                ],
                internalType: 'struct ChannelConfig',
                name: 'channel',
                type: 'tuple',
              },
              {
                internalType: 'uint128',
                name: 'maxClaimableAmount',
                type: 'uint128',
              },
            ],
            internalType: 'struct Voucher',
            name: 'voucher',
            type: 'tuple',
          },
          {
            internalType: 'bytes',
            name: 'signature',
            type: 'bytes',
          },
          {
            internalType: 'uint128',
            name: 'totalClaimed',
            type: 'uint128',
          },
        ],
        internalType: 'struct VoucherClaim[]',
        name: 'voucherClaims',
        type: 'tuple[]',
      },
      {
        internalType: 'bytes',
        name: 'authorizerSignature',
        type: 'bytes',
      },
    ],
    name: 'claimWithSignature',
    outputs: [],
    stateMutability: 'nonpayable',
    type: 'function',
  },
  {
    inputs: [
      {
        components: [
          {
            internalType: 'address',
            name: 'payer',
            type: 'address',
          },
          {
            internalType: 'address',
            name: 'payerAuthorizer',
            type: 'address',
          },
          {
            internalType: 'address',
            name: 'receiver',
            type: 'address',
          },
          {
            internalType: 'address',
            name: 'receiverAuthorizer',
            type: 'address',
          },
          {
            internalType: 'address',
            name: 'token',
            type: 'address',
          },
          {
            internalType: 'uint40',
            name: 'withdrawDelay',
            type: 'uint40',
          },
          {
            internalType: 'bytes32',
            name: 'salt',
            type: 'bytes32',
          },
        ],
        internalType: 'struct ChannelConfig',
        name: 'config',
        type: 'tuple',
      },
      {
        internalType: 'uint128',
        name: 'amount',
        type: 'uint128',
      },
      {
        internalType: 'address',
        name: 'collector',
        type: 'address',
      },
      {
        internalType: 'bytes',
        name: 'collectorData',
        type: 'bytes',
      },
    ],
    name: 'deposit',
    outputs: [],
    stateMutability: 'nonpayable',
    type: 'function',
  },
  {
    inputs: [],
    name: 'eip712Domain',
    outputs: [
      {
        internalType: 'bytes1',
        name: 'fields',
        type: 'bytes1',
      },
      {
        internalType: 'string',
        name: 'name',
        type: 'string',
      },
      {
        internalType: 'string',
        name: 'version',
        type: 'string',
      },
      {
        internalType: 'uint256',
        name: 'chainId',
        type: 'uint256',
      },
      {
        internalType: 'address',
        name: 'verifyingContract',
        type: 'address',
      },
      {
        internalType: 'bytes32',
        name: 'salt',
        type: 'bytes32',
      },
      {
        internalType: 'uint256[]',
        name: 'extensions',
        type: 'uint256[]',
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
            internalType: 'address',
            name: 'payer',
            type: 'address',
          },
          {
            internalType: 'address',
            name: 'payerAuthorizer',
            type: 'address',
          },
          {
            internalType: 'address',
            name: 'receiver',
            type: 'address',
          },
          {
            internalType: 'address',
            name: 'receiverAuthorizer',
            type: 'address',
          },
          {
            internalType: 'address',
            name: 'token',
            type: 'address',
          },
          {
            internalType: 'uint40',
            name: 'withdrawDelay',
            type: 'uint40',
          },
          {
            internalType: 'bytes32',
            name: 'salt',
            type: 'bytes32',
          },
        ],
        internalType: 'struct ChannelConfig',
        name: 'config',
        type: 'tuple',
      },
    ],
    name: 'finalizeWithdraw',
    outputs: [],
    stateMutability: 'nonpayable',
    type: 'function',
  },
  {
    inputs: [
      {
        components: [
          {
            internalType: 'address',
            name: 'payer',
            type: 'address',
          },
          {
            internalType: 'address',
            name: 'payerAuthorizer',
            type: 'address',
          },
          {
            internalType: 'address',
            name: 'receiver',
            type: 'address',
          },
          {
            internalType: 'address',
            name: 'receiverAuthorizer',
            type: 'address',
          },
          {
            internalType: 'address',
            name: 'token',
            type: 'address',
          },
          {
            internalType: 'uint40',
            name: 'withdrawDelay',
            type: 'uint40',
          },
          {
            internalType: 'bytes32',
            name: 'salt',
            type: 'bytes32',
          },
        ],
        internalType: 'struct ChannelConfig',
        name: 'config',
        type: 'tuple',
      },
    ],
    name: 'getChannelId',
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
                components: [
                  {
                    internalType: 'address',
                    name: 'payer',
                    type: 'address',
                  },
                  {
                    internalType: 'address',
                    name: 'payerAuthorizer',
                    type: 'address',
                  },
                  {
                    internalType: 'address',
                    name: 'receiver',
                    type: 'address',
                  },
                  {
                    internalType: 'address',
                    name: 'receiverAuthorizer',
                    type: 'address',
                  },
                  {
                    internalType: 'address',
                    name: 'token',
                    type: 'address',
                  },
                  {
                    internalType: 'uint40',
                    name: 'withdrawDelay',
                    type: 'uint40',
                  },
                  {
                    internalType: 'bytes32',
                    name: 'salt',
                    type: 'bytes32',
                  },
                ],
                internalType: 'struct ChannelConfig',
                name: 'channel',
                type: 'tuple',
              },
              {
                internalType: 'uint128',
                name: 'maxClaimableAmount',
                type: 'uint128',
              },
            ],
            internalType: 'struct Voucher',
            name: 'voucher',
            type: 'tuple',
          },
          {
            internalType: 'bytes',
            name: 'signature',
            type: 'bytes',
          },
          {
            internalType: 'uint128',
            name: 'totalClaimed',
            type: 'uint128',
          },
        ],
        internalType: 'struct VoucherClaim[]',
        name: 'voucherClaims',
        type: 'tuple[]',
      },
    ],
    name: 'getClaimBatchDigest',
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
        internalType: 'bytes32',
        name: 'channelId',
        type: 'bytes32',
      },
      {
        internalType: 'uint256',
        name: 'nonce',
        type: 'uint256',
      },
      {
        internalType: 'uint128',
        name: 'amount',
        type: 'uint128',
      },
    ],
    name: 'getRefundDigest',
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
        internalType: 'bytes32',
        name: 'channelId',
        type: 'bytes32',
      },
      {
        internalType: 'uint128',
        name: 'maxClaimableAmount',
        type: 'uint128',
      },
    ],
    name: 'getVoucherDigest',
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
            internalType: 'address',
            name: 'payer',
            type: 'address',
          },
          {
            internalType: 'address',
            name: 'payerAuthorizer',
            type: 'address',
          },
          {
            internalType: 'address',
            name: 'receiver',
            type: 'address',
          },
          {
            internalType: 'address',
            name: 'receiverAuthorizer',
            type: 'address',
          },
          {
            internalType: 'address',
            name: 'token',
            type: 'address',
          },
          {
            internalType: 'uint40',
            name: 'withdrawDelay',
            type: 'uint40',
          },
          {
            internalType: 'bytes32',
            name: 'salt',
            type: 'bytes32',
          },
        ],
        internalType: 'struct ChannelConfig',
        name: 'config',
        type: 'tuple',
      },
      {
        internalType: 'uint128',
        name: 'amount',
        type: 'uint128',
      },
    ],
    name: 'initiateWithdraw',
    outputs: [],
    stateMutability: 'nonpayable',
    type: 'function',
  },
  {
    inputs: [
      {
        internalType: 'bytes[]',
        name: 'data',
        type: 'bytes[]',
      },
    ],
    name: 'multicall',
    outputs: [
      {
        internalType: 'bytes[]',
        name: 'results',
        type: 'bytes[]',
      },
    ],
    stateMutability: 'nonpayable',
    type: 'function',
  },
  {
    inputs: [
      {
        internalType: 'bytes32',
        name: 'channelId',
        type: 'bytes32',
      },
    ],
    name: 'pendingWithdrawals',
    outputs: [
      {
        internalType: 'uint128',
        name: 'amount',
        type: 'uint128',
      },
      {
        internalType: 'uint40',
        name: 'initiatedAt',
        type: 'uint40',
      },
    ],
    stateMutability: 'view',
    type: 'function',
  },
  {
    inputs: [
      {
        internalType: 'address',
        name: 'receiver',
        type: 'address',
      },
      {
        internalType: 'address',
        name: 'token',
        type: 'address',
      },
    ],
    name: 'receivers',
    outputs: [
      {
        internalType: 'uint128',
        name: 'totalClaimed',
        type: 'uint128',
      },
      {
        internalType: 'uint128',
        name: 'totalSettled',
        type: 'uint128',
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
            internalType: 'address',
            name: 'payer',
            type: 'address',
          },
          {
            internalType: 'address',
            name: 'payerAuthorizer',
            type: 'address',
          },
          {
            internalType: 'address',
            name: 'receiver',
            type: 'address',
          },
          {
            internalType: 'address',
            name: 'receiverAuthorizer',
            type: 'address',
          },
          {
            internalType: 'address',
            name: 'token',
            type: 'address',
          },
          {
            internalType: 'uint40',
            name: 'withdrawDelay',
            type: 'uint40',
          },
          {
            internalType: 'bytes32',
            name: 'salt',
            type: 'bytes32',
          },
        ],
        internalType: 'struct ChannelConfig',
        name: 'config',
        type: 'tuple',
      },
      {
        internalType: 'uint128',
        name: 'amount',
        type: 'uint128',
      },
    ],
    name: 'refund',
    outputs: [],
    stateMutability: 'nonpayable',
    type: 'function',
  },
  {
    inputs: [
      {
        internalType: 'bytes32',
        name: 'channelId',
        type: 'bytes32',
      },
    ],
    name: 'refundNonce',
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
        components: [
          {
            internalType: 'address',
            name: 'payer',
            type: 'address',
          },
          {
            internalType: 'address',
            name: 'payerAuthorizer',
            type: 'address',
          },
          {
            internalType: 'address',
            name: 'receiver',
            type: 'address',
          },
          {
            internalType: 'address',
            name: 'receiverAuthorizer',
            type: 'address',
          },
          {
            internalType: 'address',
            name: 'token',
            type: 'address',
          },
          {
            internalType: 'uint40',
            name: 'withdrawDelay',
            type: 'uint40',
          },
          {
            internalType: 'bytes32',
            name: 'salt',
            type: 'bytes32',
          },
        ],
        internalType: 'struct ChannelConfig',
        name: 'config',
        type: 'tuple',
      },
      {
        internalType: 'uint128',
        name: 'amount',
        type: 'uint128',
      },
      {
        internalType: 'uint256',
        name: 'nonce',
        type: 'uint256',
      },
      {
        internalType: 'bytes',
        name: 'receiverAuthorizerSignature',
        type: 'bytes',
      },
    ],
    name: 'refundWithSignature',
    outputs: [],
    stateMutability: 'nonpayable',
    type: 'function',
  },
  {
    inputs: [
      {
        internalType: 'address',
        name: 'receiver',
        type: 'address',
      },
      {
        internalType: 'address',
        name: 'token',
        type: 'address',
      },
    ],
    name: 'settle',
    outputs: [],
    stateMutability: 'nonpayable',
    type: 'function',
  },
] as const

/** Creation code: what a deployment transaction carries, followed by its arguments. */
export const batchSettlementCreationCode =
  '0x6080604052348015600e575f5ffd5b506139fc8061001c5f395ff3fe608060405234801561000f575f5ffd5b506004361061019a575f3560e01c806394739e87116100e8578063ba94ec0d11610093578063e25cf1891161006e578063e25cf189146104b1578063e43ce1f2146104c4578063e88377b1146104d7578063f0dc792e146104ea575f5ffd5b8063ba94ec0d14610464578063cf5cf3dc1461048b578063dce4bfae1461049e575f5ffd5b8063ae159439116100c3578063ae159439146103cc578063b77433e9146103d5578063b7f06ebe146103e8575f5ffd5b806394739e87146103725780639db32a8f14610399578063ac9650d8146103ac575f5ffd5b806353ab0fae1161014857806384b0196e1161012357806384b0196e1461031d578063862bb199146103385780638e4a68ac1461034b575f5ffd5b806353ab0fae1461029a5780635e5e0b87146102c15780637a7ebd7b146102d4575f5ffd5b806321ff63891161017857806321ff6389146101f757806329237b0c14610274578063488ccc3b14610287575f5ffd5b8063140f1e751461019e5780631e69ef40146101b35780631fc3277d146101ed575b5f5ffd5b6101b16101ac3660046131c8565b610509565b005b6101da7fbe23ad087435072cd69b49cc5b92de10ee610fce7ae0ab428307972d764bb21681565b6040519081526020015b60405180910390f35b6101da62278d0081565b61024b61020536600461323d565b600360209081525f92835260408084209091529082529020546fffffffffffffffffffffffffffffffff8082169170010000000000000000000000000000000090041682565b604080516fffffffffffffffffffffffffffffffff9384168152929091166020830152016101e4565b6101b16102823660046132af565b610a1b565b6101da6102953660046132af565b610c4f565b6101da7f42bd57c010b870c2e96203c66341f28a6a19b4d56a74533a8eb5f706b9fd6d5781565b6101da6102cf3660046132ee565b610e24565b61024b6102e2366004613308565b5f602081905290815260409020546fffffffffffffffffffffffffffffffff8082169170010000000000000000000000000000000090041682565b610325610f15565b6040516101e4979695949392919061336b565b6101da61034636600461341d565b610feb565b6101da7f1c9a06ceab9b0ebbd3301dc56c9111bb6d9af421356dc9ccb3b7084c755db30881565b6101da7f1e1bd6ff84c3e0d9029a292b212e039c0ca97ec497c55191a4a5874294609a6981565b6101b16103a736600461323d565b6110e4565b6103bf6103ba3660046132af565b611216565b6040516101e4919061343e565b6101da61038481565b6101b16103e33660046134bf565b6112fc565b6104366103f6366004613308565b60016020525f90815260409020546fffffffffffffffffffffffffffffffff811690700100000000000000000000000000000000900464ffffffffff1682565b604080516fffffffffffffffffffffffffffffffff909316835264ffffffffff9091166020830152016101e4565b6101da7f30b9a0367528fca13c3e8ec6134c3113f1887ebe7a1ad61de0955aac288b0cf581565b6101b1610499366004613510565b611482565b6101b16104ac366004613510565b6117a3565b6101da6104bf36600461353a565b611928565b6101b16104d236600461356c565b611a23565b6101b16104e53660046132ee565b611d88565b6101da6104f8366004613308565b60026020525f908152604090205481565b61051161206b565b61051a856120a2565b836fffffffffffffffffffffffffffffffff165f03610565576040517f56316e8700000000000000000000000000000000000000000000000000000000815260040160405180910390fd5b6001600160a01b0383166105a5576040517f18b1afd400000000000000000000000000000000000000000000000000000000815260040160405180910390fd5b5f610696610690604080518082018252601581527f7834303220426174636820536574746c656d656e7400000000000000000000006020918201528151808301835260018152603160f81b9082015281517f8b73c3c69bb8fe3d512ecc4cf759cc79239f7b179b0ffacaa9a75d522b39400f818301527fe03c502b9066cc6f23a8f0f48ed32cb7d506f9f0a2d0055449f256846a770e9a818401527fc89efdaa54c0f20c7adf612882df0950f5a951637e0307cdcb4c672f298b8bc660608201524660808201523060a0808301919091528351808303909101815260c0909101909252815191012090565b876121cc565b5f818152602081905260409020549091506fffffffffffffffffffffffffffffffff908116906106c7908290613605565b6fffffffffffffffffffffffffffffffff16866fffffffffffffffffffffffffffffffff161115610724576040517f1132981b00000000000000000000000000000000000000000000000000000000815260040160405180910390fd5b5f61073560a0890160808a0161362d565b6040517f70a082310000000000000000000000000000000000000000000000000000000081523060048201526001600160a01b0391909116906370a0823190602401602060405180830381865afa158015610792573d5f5f3e3d5ffd5b505050506040513d601f19601f820116820180604052508101906107b69190613646565b90506001600160a01b03861663e416d8d36107d460208b018b61362d565b6107e460a08c0160808d0161362d565b8a878a8a6040518763ffffffff1660e01b81526004016108099695949392919061365d565b5f604051808303815f87803b158015610820575f5ffd5b505af1158015610832573d5f5f3e3d5ffd5b50505050866fffffffffffffffffffffffffffffffff168161085491906136e9565b61086460a08a0160808b0161362d565b6040517f70a082310000000000000000000000000000000000000000000000000000000081523060048201526001600160a01b0391909116906370a0823190602401602060405180830381865afa1580156108c1573d5f5f3e3d5ffd5b505050506040513d601f19601f820116820180604052508101906108e59190613646565b1461091c576040517feb43592c00000000000000000000000000000000000000000000000000000000815260040160405180910390fd5b5f61092788846136fc565b5f85815260208190526040812080547fffffffffffffffffffffffffffffffff00000000000000000000000000000000166fffffffffffffffffffffffffffffffff8481169190911790915591925090841690036109b857837f69d8248d5566bdb2ebc4d218970710d8378a2ff9b709a999e052b71970f808fa8a6040516109af91906137d7565b60405180910390a25b604080516fffffffffffffffffffffffffffffffff808b16825283166020820152339186917f6c2a09353b5e75e70d0b9778b80a413809bb235d46c211811c474b3346791d89910160405180910390a350505050610a1461221f565b5050505050565b610a2361206b565b5f819003610a5d576040517fc2e5347d00000000000000000000000000000000000000000000000000000000815260040160405180910390fd5b5f610b45604080518082018252601581527f7834303220426174636820536574746c656d656e7400000000000000000000006020918201528151808301835260018152603160f81b9082015281517f8b73c3c69bb8fe3d512ecc4cf759cc79239f7b179b0ffacaa9a75d522b39400f818301527fe03c502b9066cc6f23a8f0f48ed32cb7d506f9f0a2d0055449f256846a770e9a818401527fc89efdaa54c0f20c7adf612882df0950f5a951637e0307cdcb4c672f298b8bc660608201524660808201523060a0808301919091528351808303909101815260c0909101909252815191012090565b90505f5b82811015610c415736848483818110610b6457610b646137e5565b9050602002810190610b769190613812565b9050610b88606082016040830161362d565b6001600160a01b0316336001600160a01b031614158015610bca5750610bb4608082016060830161362d565b6001600160a01b0316336001600160a01b031614155b15610c01576040517fdefb706900000000000000000000000000000000000000000000000000000000815260040160405180910390fd5b610c3883610c0f85846121cc565b878786818110610c2157610c216137e5565b9050602002810190610c339190613812565b612249565b50600101610b49565b5050610c4b61221f565b5050565b5f5f610d38604080518082018252601581527f7834303220426174636820536574746c656d656e7400000000000000000000006020918201528151808301835260018152603160f81b9082015281517f8b73c3c69bb8fe3d512ecc4cf759cc79239f7b179b0ffacaa9a75d522b39400f818301527fe03c502b9066cc6f23a8f0f48ed32cb7d506f9f0a2d0055449f256846a770e9a818401527fc89efdaa54c0f20c7adf612882df0950f5a951637e0307cdcb4c672f298b8bc660608201524660808201523060a0808301919091528351808303909101815260c0909101909252815191012090565b90505f8367ffffffffffffffff811115610d5457610d5461384e565b604051908082528060200260200182016040528015610d7d578160200160208202803683370190505b5090505f5b8151811015610e0e575f610db984888885818110610da257610da26137e5565b9050602002810190610db49190613812565b6121cc565b9050610de881888885818110610dd157610dd16137e5565b9050602002810190610de39190613812565b6125b8565b838381518110610dfa57610dfa6137e5565b602090810291909101015250600101610d82565b50610e198282612651565b925050505b92915050565b5f610e1e610f0f604080518082018252601581527f7834303220426174636820536574746c656d656e7400000000000000000000006020918201528151808301835260018152603160f81b9082015281517f8b73c3c69bb8fe3d512ecc4cf759cc79239f7b179b0ffacaa9a75d522b39400f818301527fe03c502b9066cc6f23a8f0f48ed32cb7d506f9f0a2d0055449f256846a770e9a818401527fc89efdaa54c0f20c7adf612882df0950f5a951637e0307cdcb4c672f298b8bc660608201524660808201523060a0808301919091528351808303909101815260c0909101909252815191012090565b836121cc565b5f6060805f5f5f60606040518060400160405280601581526020017f7834303220426174636820536574746c656d656e740000000000000000000000815250604051806040016040528060018152602001603160f81b81525046305f5f1b5f67ffffffffffffffff811115610f8c57610f8c61384e565b604051908082528060200260200182016040528015610fb5578160200160208202803683370190505b507f0f000000000000000000000000000000000000000000000000000000000000009d959c50939a509198509650945092509050565b5f6110dd6110d6604080518082018252601581527f7834303220426174636820536574746c656d656e7400000000000000000000006020918201528151808301835260018152603160f81b9082015281517f8b73c3c69bb8fe3d512ecc4cf759cc79239f7b179b0ffacaa9a75d522b39400f818301527fe03c502b9066cc6f23a8f0f48ed32cb7d506f9f0a2d0055449f256846a770e9a818401527fc89efdaa54c0f20c7adf612882df0950f5a951637e0307cdcb4c672f298b8bc660608201524660808201523060a0808301919091528351808303909101815260c0909101909252815191012090565b84846126b8565b9392505050565b6110ec61206b565b6001600160a01b038083165f9081526003602090815260408083209385168352929052908120805490916fffffffffffffffffffffffffffffffff8083169261114b917001000000000000000000000000000000009091041683613605565b9050806fffffffffffffffffffffffffffffffff165f0361116e5750505061120e565b82546fffffffffffffffffffffffffffffffff90811670010000000000000000000000000000000084831602178455604051908216815233906001600160a01b0386811691908816907f7337b4386b690fdb8ba66905b92b9d45d33bc6626ee2620c905fb150ec0cc47d9060200160405180910390a461120a6001600160a01b038516866fffffffffffffffffffffffffffffffff8416612710565b5050505b610c4b61221f565b604080515f8152602081019091526060908267ffffffffffffffff8111156112405761124061384e565b60405190808252806020026020018201604052801561127357816020015b606081526020019060019003908161125e5790505b5091505f5b838110156112f4576112cf30868684818110611296576112966137e5565b90506020028101906112a8919061387b565b856040516020016112bb939291906138dc565b604051602081830303815290604052612768565b8382815181106112e1576112e16137e5565b6020908102919091010152600101611278565b505092915050565b61130461206b565b5f6113ec604080518082018252601581527f7834303220426174636820536574746c656d656e7400000000000000000000006020918201528151808301835260018152603160f81b9082015281517f8b73c3c69bb8fe3d512ecc4cf759cc79239f7b179b0ffacaa9a75d522b39400f818301527fe03c502b9066cc6f23a8f0f48ed32cb7d506f9f0a2d0055449f256846a770e9a818401527fc89efdaa54c0f20c7adf612882df0950f5a951637e0307cdcb4c672f298b8bc660608201524660808201523060a0808301919091528351808303909101815260c0909101909252815191012090565b90505f6113f982886121cc565b5f818152600260205260409020549091508514611442576040517f164f1afe00000000000000000000000000000000000000000000000000000000815260040160405180910390fd5b5f61144f8383888a61283a565b905061146c61146460808a0160608b0161362d565b8287876128a2565b6114778289896128e4565b505050610a1461221f565b61148a61206b565b61149382612ad8565b806fffffffffffffffffffffffffffffffff165f036114de576040517fd0d04f6000000000000000000000000000000000000000000000000000000000815260040160405180910390fd5b5f6115cf6115c9604080518082018252601581527f7834303220426174636820536574746c656d656e7400000000000000000000006020918201528151808301835260018152603160f81b9082015281517f8b73c3c69bb8fe3d512ecc4cf759cc79239f7b179b0ffacaa9a75d522b39400f818301527fe03c502b9066cc6f23a8f0f48ed32cb7d506f9f0a2d0055449f256846a770e9a818401527fc89efdaa54c0f20c7adf612882df0950f5a951637e0307cdcb4c672f298b8bc660608201524660808201523060a0808301919091528351808303909101815260c0909101909252815191012090565b846121cc565b5f818152600160205260409020805491925090700100000000000000000000000000000000900464ffffffffff1615611634576040517fa2aed0f000000000000000000000000000000000000000000000000000000000815260040160405180910390fd5b5f8281526020819052604090208054611675906fffffffffffffffffffffffffffffffff700100000000000000000000000000000000820481169116613605565b6fffffffffffffffffffffffffffffffff16846fffffffffffffffffffffffffffffffff1611156116d2576040517f6d3d576400000000000000000000000000000000000000000000000000000000815260040160405180910390fd5b815464ffffffffff4216700100000000000000000000000000000000027fffffffffffffffffffffff0000000000000000000000000000000000000000009091166fffffffffffffffffffffffffffffffff861617178255827fe4280d0d903c7f258f62b07c62f262377cbaa23f7791d78126e6446e0f0e3c238561175d60c0890160a08a016138ff565b6117679042613918565b604080516fffffffffffffffffffffffffffffffff909316835264ffffffffff90911660208301520160405180910390a2505050610c4b61221f565b6117ab61206b565b6117bb606083016040840161362d565b6001600160a01b0316336001600160a01b0316141580156117fd57506117e7608083016060840161362d565b6001600160a01b0316336001600160a01b031614155b15611834576040517f7864f00800000000000000000000000000000000000000000000000000000000815260040160405180910390fd5b61120e6119216115c9604080518082018252601581527f7834303220426174636820536574746c656d656e7400000000000000000000006020918201528151808301835260018152603160f81b9082015281517f8b73c3c69bb8fe3d512ecc4cf759cc79239f7b179b0ffacaa9a75d522b39400f818301527fe03c502b9066cc6f23a8f0f48ed32cb7d506f9f0a2d0055449f256846a770e9a818401527fc89efdaa54c0f20c7adf612882df0950f5a951637e0307cdcb4c672f298b8bc660608201524660808201523060a0808301919091528351808303909101815260c0909101909252815191012090565b83836128e4565b5f611a1b611a13604080518082018252601581527f7834303220426174636820536574746c656d656e7400000000000000000000006020918201528151808301835260018152603160f81b9082015281517f8b73c3c69bb8fe3d512ecc4cf759cc79239f7b179b0ffacaa9a75d522b39400f818301527fe03c502b9066cc6f23a8f0f48ed32cb7d506f9f0a2d0055449f256846a770e9a818401527fc89efdaa54c0f20c7adf612882df0950f5a951637e0307cdcb4c672f298b8bc660608201524660808201523060a0808301919091528351808303909101815260c0909101909252815191012090565b85858561283a565b949350505050565b611a2b61206b565b825f819003611a66576040517fc2e5347d00000000000000000000000000000000000000000000000000000000815260040160405180910390fd5b5f85855f818110611a7957611a796137e5565b9050602002810190611a8b9190613812565b611a9c90608081019060600161362d565b90505f611b86604080518082018252601581527f7834303220426174636820536574746c656d656e7400000000000000000000006020918201528151808301835260018152603160f81b9082015281517f8b73c3c69bb8fe3d512ecc4cf759cc79239f7b179b0ffacaa9a75d522b39400f818301527fe03c502b9066cc6f23a8f0f48ed32cb7d506f9f0a2d0055449f256846a770e9a818401527fc89efdaa54c0f20c7adf612882df0950f5a951637e0307cdcb4c672f298b8bc660608201524660808201523060a0808301919091528351808303909101815260c0909101909252815191012090565b90505f8367ffffffffffffffff811115611ba257611ba261384e565b604051908082528060200260200182016040528015611bcb578160200160208202803683370190505b5090505f8467ffffffffffffffff811115611be857611be861384e565b604051908082528060200260200182016040528015611c11578160200160208202803683370190505b5090505f5b85811015611d1c57368a8a83818110611c3157611c316137e5565b9050602002810190611c439190613812565b90506001600160a01b038616611c5f608083016060840161362d565b6001600160a01b031614611c9f576040517ff5e2237d00000000000000000000000000000000000000000000000000000000815260040160405180910390fd5b611ca985826121cc565b848381518110611cbb57611cbb6137e5565b602002602001018181525050611cf6848381518110611cdc57611cdc6137e5565b60200260200101518c8c85818110610dd157610dd16137e5565b838381518110611d0857611d086137e5565b602090810291909101015250600101611c16565b50611d3284611d2b8584612651565b89896128a2565b5f5b85811015611d7457611d6c84848381518110611d5257611d526137e5565b60200260200101518c8c85818110610c2157610c216137e5565b600101611d34565b505050505050611d8261221f565b50505050565b611d9061206b565b611d9981612ad8565b5f611e84610f0f604080518082018252601581527f7834303220426174636820536574746c656d656e7400000000000000000000006020918201528151808301835260018152603160f81b9082015281517f8b73c3c69bb8fe3d512ecc4cf759cc79239f7b179b0ffacaa9a75d522b39400f818301527fe03c502b9066cc6f23a8f0f48ed32cb7d506f9f0a2d0055449f256846a770e9a818401527fc89efdaa54c0f20c7adf612882df0950f5a951637e0307cdcb4c672f298b8bc660608201524660808201523060a0808301919091528351808303909101815260c0909101909252815191012090565b5f8181526001602090815260408083208151808301909252546fffffffffffffffffffffffffffffffff81168252700100000000000000000000000000000000900464ffffffffff169181018290529293509003611f0e576040517f3a0a1ca600000000000000000000000000000000000000000000000000000000815260040160405180910390fd5b611f1e60c0840160a085016138ff565b64ffffffffff16816020015164ffffffffff16611f3b91906136e9565b421015611f74576040517ff396582700000000000000000000000000000000000000000000000000000000815260040160405180910390fd5b5f82815260016020526040812080547fffffffffffffffffffffff0000000000000000000000000000000000000000001690558151611fb69084908690612b5e565b6040516fffffffffffffffffffffffffffffffff82168152909150339084907f546ce1e2242cd930c196bd08b894443562d709b4fffe4f028a75a6d233efc6e39060200160405180910390a36fffffffffffffffffffffffffffffffff81161561205d5761205d61202a602086018661362d565b6fffffffffffffffffffffffffffffffff831661204d60a088016080890161362d565b6001600160a01b03169190612710565b50505061206861221f565b50565b612073612c91565b6120a060017f9b779b17422d0df92223018b32b4d1fa46e071723d6817e2486d003becc55f005b90612cea565b565b5f6120b0602083018361362d565b6001600160a01b031614806120dc57505f6120d1606083016040840161362d565b6001600160a01b0316145b806120fe57505f6120f3608083016060840161362d565b6001600160a01b0316145b8061212057505f61211560a083016080840161362d565b6001600160a01b0316145b15612157576040517fea3a9a3900000000000000000000000000000000000000000000000000000000815260040160405180910390fd5b61038461216a60c0830160a084016138ff565b64ffffffffff161080612195575062278d0061218c60c0830160a084016138ff565b64ffffffffff16115b15612068576040517f4574fab600000000000000000000000000000000000000000000000000000000815260040160405180910390fd5b5f6110dd837f1c9a06ceab9b0ebbd3301dc56c9111bb6d9af421356dc9ccb3b7084c755db30884604051602001612204929190613935565b60405160208183030381529060405280519060200120612cf1565b6120a05f7f9b779b17422d0df92223018b32b4d1fa46e071723d6817e2486d003becc55f0061209a565b5f828152602081905260408120805490917001000000000000000000000000000000009091046fffffffffffffffffffffffffffffffff16906122946101408501610120860161394a565b9050816fffffffffffffffffffffffffffffffff16816fffffffffffffffffffffffffffffffff16116122c957505050505050565b6122da610100850160e0860161394a565b6fffffffffffffffffffffffffffffffff16816fffffffffffffffffffffffffffffffff161115612337576040517ff178977500000000000000000000000000000000000000000000000000000000815260040160405180910390fd5b82546fffffffffffffffffffffffffffffffff9081169082161115612388576040517f7d8242b600000000000000000000000000000000000000000000000000000000815260040160405180910390fd5b835f6123a588886123a0610100860160e0870161394a565b6126b8565b90505f6123b8604084016020850161362d565b6001600160a01b0316036123ef576123ea6123d6602084018461362d565b826123e56101008a018a61387b565b6128a2565b61245f565b6123ff604083016020840161362d565b6001600160a01b031661241f8261241a6101008a018a61387b565b612d32565b6001600160a01b03161461245f576040517f8baa579f00000000000000000000000000000000000000000000000000000000815260040160405180910390fd5b5f61246a8585613605565b86546fffffffffffffffffffffffffffffffff80871670010000000000000000000000000000000002911617875590508060035f6124ae606087016040880161362d565b6001600160a01b0316815260208101919091526040015f908120906124d960a087016080880161362d565b6001600160a01b0316815260208101919091526040015f90812080549091906125159084906fffffffffffffffffffffffffffffffff166136fc565b92506101000a8154816fffffffffffffffffffffffffffffffff02191690836fffffffffffffffffffffffffffffffff160217905550336001600160a01b0316887f36bd546bb573e8921fdbfd934bbed62d872796b01792cd240cce27f79dd3eddd83876040516125a59291906fffffffffffffffffffffffffffffffff92831681529116602082015260400190565b60405180910390a3505050505050505050565b5f7f30b9a0367528fca13c3e8ec6134c3113f1887ebe7a1ad61de0955aac288b0cf5836125ec610100850160e0860161394a565b6125fe6101408601610120870161394a565b6040805160208101959095528401929092526fffffffffffffffffffffffffffffffff908116606084015216608082015260a0015b60405160208183030381529060405280519060200120905092915050565b5f6110dd837f42bd57c010b870c2e96203c66341f28a6a19b4d56a74533a8eb5f706b9fd6d57846040516020016126889190613963565b60405160208183030381529060405280519060200120604051602001612204929190918252602082015260400190565b604080517f1e1bd6ff84c3e0d9029a292b212e039c0ca97ec497c55191a4a5874294609a6960208201529081018390526fffffffffffffffffffffffffffffffff821660608201525f90611a1b908590608001612204565b61271d8383836001612d5c565b612763576040517f5274afe70000000000000000000000000000000000000000000000000000000081526001600160a01b03841660048201526024015b60405180910390fd5b505050565b60605f6127758484612dd7565b905080801561279657505f3d118061279657505f846001600160a01b03163b115b156127ab576127a3612dea565b915050610e1e565b80156127ee576040517f9996b3150000000000000000000000000000000000000000000000000000000081526001600160a01b038516600482015260240161275a565b3d15612801576127fc612e03565b612833565b6040517fd6bda27500000000000000000000000000000000000000000000000000000000815260040160405180910390fd5b5092915050565b604080517fbe23ad087435072cd69b49cc5b92de10ee610fce7ae0ab428307972d764bb2166020820152908101849052606081018390526fffffffffffffffffffffffffffffffff821660808201525f9061289990869060a001612204565b95945050505050565b6128ae84848484612e0e565b611d82576040517f8baa579f00000000000000000000000000000000000000000000000000000000815260040160405180910390fd5b806fffffffffffffffffffffffffffffffff165f0361292f576040517fd758525c00000000000000000000000000000000000000000000000000000000815260040160405180910390fd5b5f838152600260205260408120805490919061294a90613998565b909155505f61295a848484612b5e565b9050806fffffffffffffffffffffffffffffffff165f0361297b5750505050565b5f8481526001602052604090208054700100000000000000000000000000000000900464ffffffffff1615612a5c5780546fffffffffffffffffffffffffffffffff90811690831610612a00575f85815260016020526040902080547fffffffffffffffffffffff000000000000000000000000000000000000000000169055612a5c565b8054829082905f90612a259084906fffffffffffffffffffffffffffffffff16613605565b92506101000a8154816fffffffffffffffffffffffffffffffff02191690836fffffffffffffffffffffffffffffffff1602179055505b6040516fffffffffffffffffffffffffffffffff83168152339086907fa84286cf8ebc7903a663c77c8d99aa92b600d4c2fcca872a5d4a663db4eb394b9060200160405180910390a3610a14612ab5602086018661362d565b6fffffffffffffffffffffffffffffffff841661204d60a088016080890161362d565b612ae5602082018261362d565b6001600160a01b0316336001600160a01b031614158015612b275750612b11604082016020830161362d565b6001600160a01b0316336001600160a01b031614155b15612068576040517f15f969d500000000000000000000000000000000000000000000000000000000815260040160405180910390fd5b5f83815260208190526040812080546fffffffffffffffffffffffffffffffff808216918491612ba39170010000000000000000000000000000000090041683613605565b9050806fffffffffffffffffffffffffffffffff16856fffffffffffffffffffffffffffffffff1610612bd65780612bd8565b845b9350836fffffffffffffffffffffffffffffffff165f03612bfe575f93505050506110dd565b612c088483613605565b83547fffffffffffffffffffffffffffffffff00000000000000000000000000000000166fffffffffffffffffffffffffffffffff91821617845584811690831603612c8757867f8d5942f197f362dfd44dfdc1b0b7a9721c9151b67f55817c83349271d3c08d3787604051612c7e91906137d7565b60405180910390a25b5050509392505050565b7f9b779b17422d0df92223018b32b4d1fa46e071723d6817e2486d003becc55f005c156120a0576040517f3ee5aeb500000000000000000000000000000000000000000000000000000000815260040160405180910390fd5b80825d5050565b6040517f1901000000000000000000000000000000000000000000000000000000000000602082015260228101839052604281018290525f90606201612633565b5f5f5f5f612d41878787612e80565b925092509250612d518282612ec7565b509095945050505050565b6040517fa9059cbb000000000000000000000000000000000000000000000000000000005f8181526001600160a01b038616600452602485905291602083604481808b5af1925060015f51148316612dcb578383151615612dbf573d5f823e3d81fd5b5f873b113d1516831692505b60405250949350505050565b5f5f5f835160208501865af49392505050565b6040513d81523d5f602083013e3d602001810160405290565b6040513d5f823e3d81fd5b5f846001600160a01b03163b5f03612e6d575f5f612e2d868686612e80565b5090925090505f816003811115612e4657612e466139cf565b148015612e645750866001600160a01b0316826001600160a01b0316145b92505050611a1b565b612e7985858585612fca565b9050611a1b565b5f80806041849003612eb4578435602086013560408701355f1a612ea68982858561304d565b955095509550505050612ebe565b505f915060029050825b93509350939050565b5f826003811115612eda57612eda6139cf565b03612ee3575050565b6001826003811115612ef757612ef76139cf565b03612f2e576040517ff645eedf00000000000000000000000000000000000000000000000000000000815260040160405180910390fd5b6002826003811115612f4257612f426139cf565b03612f7c576040517ffce698f70000000000000000000000000000000000000000000000000000000081526004810182905260240161275a565b6003826003811115612f9057612f906139cf565b03610c4b576040517fd78bce0c0000000000000000000000000000000000000000000000000000000081526004810182905260240161275a565b604080517f1626ba7e00000000000000000000000000000000000000000000000000000000808252600482018690526024820192909252604481018390525f91908390818660648301375f82606483010152601f820160051c60051b915060205f60648401838b5afa9050825f5114601f3d111681169350505050949350505050565b5f80807f7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a084111561308657505f91506003905082613129565b604080515f808252602082018084528a905260ff891692820192909252606081018790526080810186905260019060a0016020604051602081039080840390855afa1580156130d7573d5f5f3e3d5ffd5b50506040517fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe001519150506001600160a01b03811661312057505f925060019150829050613129565b92505f91508190505b9450945094915050565b5f60e08284031215613143575f5ffd5b50919050565b80356fffffffffffffffffffffffffffffffff81168114613168575f5ffd5b919050565b80356001600160a01b0381168114613168575f5ffd5b5f5f83601f840112613193575f5ffd5b50813567ffffffffffffffff8111156131aa575f5ffd5b6020830191508360208285010111156131c1575f5ffd5b9250929050565b5f5f5f5f5f61014086880312156131dd575f5ffd5b6131e78787613133565b94506131f560e08701613149565b9350613204610100870161316d565b925061012086013567ffffffffffffffff811115613220575f5ffd5b61322c88828901613183565b969995985093965092949392505050565b5f5f6040838503121561324e575f5ffd5b6132578361316d565b91506132656020840161316d565b90509250929050565b5f5f83601f84011261327e575f5ffd5b50813567ffffffffffffffff811115613295575f5ffd5b6020830191508360208260051b85010111156131c1575f5ffd5b5f5f602083850312156132c0575f5ffd5b823567ffffffffffffffff8111156132d6575f5ffd5b6132e28582860161326e565b90969095509350505050565b5f60e082840312156132fe575f5ffd5b6110dd8383613133565b5f60208284031215613318575f5ffd5b5035919050565b5f81518084528060208401602086015e5f6020828601015260207fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe0601f83011685010191505092915050565b7fff000000000000000000000000000000000000000000000000000000000000008816815260e060208201525f6133a560e083018961331f565b82810360408401526133b7818961331f565b606084018890526001600160a01b038716608085015260a0840186905283810360c0850152845180825260208087019350909101905f5b8181101561340c5783518352602093840193909201916001016133ee565b50909b9a5050505050505050505050565b5f5f6040838503121561342e575f5ffd5b8235915061326560208401613149565b5f602082016020835280845180835260408501915060408160051b8601019250602086015f5b828110156134b3577fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffc087860301845261349e85835161331f565b94506020938401939190910190600101613464565b50929695505050505050565b5f5f5f5f5f61014086880312156134d4575f5ffd5b6134de8787613133565b94506134ec60e08701613149565b9350610100860135925061012086013567ffffffffffffffff811115613220575f5ffd5b5f5f6101008385031215613522575f5ffd5b61352c8484613133565b915061326560e08401613149565b5f5f5f6060848603121561354c575f5ffd5b833592506020840135915061356360408501613149565b90509250925092565b5f5f5f5f6040858703121561357f575f5ffd5b843567ffffffffffffffff811115613595575f5ffd5b6135a18782880161326e565b909550935050602085013567ffffffffffffffff8111156135c0575f5ffd5b6135cc87828801613183565b95989497509550505050565b7f4e487b71000000000000000000000000000000000000000000000000000000005f52601160045260245ffd5b6fffffffffffffffffffffffffffffffff8281168282160390811115610e1e57610e1e6135d8565b5f6020828403121561363d575f5ffd5b6110dd8261316d565b5f60208284031215613656575f5ffd5b5051919050565b6001600160a01b03871681526001600160a01b03861660208201526fffffffffffffffffffffffffffffffff8516604082015283606082015260a060808201528160a0820152818360c08301375f81830160c090810191909152601f9092017fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe016010195945050505050565b80820180821115610e1e57610e1e6135d8565b6fffffffffffffffffffffffffffffffff8181168382160190811115610e1e57610e1e6135d8565b803564ffffffffff81168114613168575f5ffd5b6001600160a01b036137498261316d565b1682526001600160a01b036137606020830161316d565b1660208301526001600160a01b0361377a6040830161316d565b1660408301526001600160a01b036137946060830161316d565b1660608301526001600160a01b036137ae6080830161316d565b1660808301526137c060a08201613724565b64ffffffffff1660a083015260c090810135910152565b60e08101610e1e8284613738565b7f4e487b71000000000000000000000000000000000000000000000000000000005f52603260045260245ffd5b5f82357ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffec1833603018112613844575f5ffd5b9190910192915050565b7f4e487b71000000000000000000000000000000000000000000000000000000005f52604160045260245ffd5b5f5f83357fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe18436030181126138ae575f5ffd5b83018035915067ffffffffffffffff8211156138c8575f5ffd5b6020019150368190038213156131c1575f5ffd5b828482375f8382015f815283518060208601835e5f910190815295945050505050565b5f6020828403121561390f575f5ffd5b6110dd82613724565b64ffffffffff8181168382160190811115610e1e57610e1e6135d8565b82815261010081016110dd6020830184613738565b5f6020828403121561395a575f5ffd5b6110dd82613149565b81515f90829060208501835b8281101561398d57815184526020938401939091019060010161396f565b509195945050505050565b5f7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff82036139c8576139c86135d8565b5060010190565b7f4e487b71000000000000000000000000000000000000000000000000000000005f52602160045260245ffd' as const

/** Run-time code: what a genesis file places at an address. It has no immutables. */
export const batchSettlementRuntimeCode =
  '0x608060405234801561000f575f5ffd5b506004361061019a575f3560e01c806394739e87116100e8578063ba94ec0d11610093578063e25cf1891161006e578063e25cf189146104b1578063e43ce1f2146104c4578063e88377b1146104d7578063f0dc792e146104ea575f5ffd5b8063ba94ec0d14610464578063cf5cf3dc1461048b578063dce4bfae1461049e575f5ffd5b8063ae159439116100c3578063ae159439146103cc578063b77433e9146103d5578063b7f06ebe146103e8575f5ffd5b806394739e87146103725780639db32a8f14610399578063ac9650d8146103ac575f5ffd5b806353ab0fae1161014857806384b0196e1161012357806384b0196e1461031d578063862bb199146103385780638e4a68ac1461034b575f5ffd5b806353ab0fae1461029a5780635e5e0b87146102c15780637a7ebd7b146102d4575f5ffd5b806321ff63891161017857806321ff6389146101f757806329237b0c14610274578063488ccc3b14610287575f5ffd5b8063140f1e751461019e5780631e69ef40146101b35780631fc3277d146101ed575b5f5ffd5b6101b16101ac3660046131c8565b610509565b005b6101da7fbe23ad087435072cd69b49cc5b92de10ee610fce7ae0ab428307972d764bb21681565b6040519081526020015b60405180910390f35b6101da62278d0081565b61024b61020536600461323d565b600360209081525f92835260408084209091529082529020546fffffffffffffffffffffffffffffffff8082169170010000000000000000000000000000000090041682565b604080516fffffffffffffffffffffffffffffffff9384168152929091166020830152016101e4565b6101b16102823660046132af565b610a1b565b6101da6102953660046132af565b610c4f565b6101da7f42bd57c010b870c2e96203c66341f28a6a19b4d56a74533a8eb5f706b9fd6d5781565b6101da6102cf3660046132ee565b610e24565b61024b6102e2366004613308565b5f602081905290815260409020546fffffffffffffffffffffffffffffffff8082169170010000000000000000000000000000000090041682565b610325610f15565b6040516101e4979695949392919061336b565b6101da61034636600461341d565b610feb565b6101da7f1c9a06ceab9b0ebbd3301dc56c9111bb6d9af421356dc9ccb3b7084c755db30881565b6101da7f1e1bd6ff84c3e0d9029a292b212e039c0ca97ec497c55191a4a5874294609a6981565b6101b16103a736600461323d565b6110e4565b6103bf6103ba3660046132af565b611216565b6040516101e4919061343e565b6101da61038481565b6101b16103e33660046134bf565b6112fc565b6104366103f6366004613308565b60016020525f90815260409020546fffffffffffffffffffffffffffffffff811690700100000000000000000000000000000000900464ffffffffff1682565b604080516fffffffffffffffffffffffffffffffff909316835264ffffffffff9091166020830152016101e4565b6101da7f30b9a0367528fca13c3e8ec6134c3113f1887ebe7a1ad61de0955aac288b0cf581565b6101b1610499366004613510565b611482565b6101b16104ac366004613510565b6117a3565b6101da6104bf36600461353a565b611928565b6101b16104d236600461356c565b611a23565b6101b16104e53660046132ee565b611d88565b6101da6104f8366004613308565b60026020525f908152604090205481565b61051161206b565b61051a856120a2565b836fffffffffffffffffffffffffffffffff165f03610565576040517f56316e8700000000000000000000000000000000000000000000000000000000815260040160405180910390fd5b6001600160a01b0383166105a5576040517f18b1afd400000000000000000000000000000000000000000000000000000000815260040160405180910390fd5b5f610696610690604080518082018252601581527f7834303220426174636820536574746c656d656e7400000000000000000000006020918201528151808301835260018152603160f81b9082015281517f8b73c3c69bb8fe3d512ecc4cf759cc79239f7b179b0ffacaa9a75d522b39400f818301527fe03c502b9066cc6f23a8f0f48ed32cb7d506f9f0a2d0055449f256846a770e9a818401527fc89efdaa54c0f20c7adf612882df0950f5a951637e0307cdcb4c672f298b8bc660608201524660808201523060a0808301919091528351808303909101815260c0909101909252815191012090565b876121cc565b5f818152602081905260409020549091506fffffffffffffffffffffffffffffffff908116906106c7908290613605565b6fffffffffffffffffffffffffffffffff16866fffffffffffffffffffffffffffffffff161115610724576040517f1132981b00000000000000000000000000000000000000000000000000000000815260040160405180910390fd5b5f61073560a0890160808a0161362d565b6040517f70a082310000000000000000000000000000000000000000000000000000000081523060048201526001600160a01b0391909116906370a0823190602401602060405180830381865afa158015610792573d5f5f3e3d5ffd5b505050506040513d601f19601f820116820180604052508101906107b69190613646565b90506001600160a01b03861663e416d8d36107d460208b018b61362d565b6107e460a08c0160808d0161362d565b8a878a8a6040518763ffffffff1660e01b81526004016108099695949392919061365d565b5f604051808303815f87803b158015610820575f5ffd5b505af1158015610832573d5f5f3e3d5ffd5b50505050866fffffffffffffffffffffffffffffffff168161085491906136e9565b61086460a08a0160808b0161362d565b6040517f70a082310000000000000000000000000000000000000000000000000000000081523060048201526001600160a01b0391909116906370a0823190602401602060405180830381865afa1580156108c1573d5f5f3e3d5ffd5b505050506040513d601f19601f820116820180604052508101906108e59190613646565b1461091c576040517feb43592c00000000000000000000000000000000000000000000000000000000815260040160405180910390fd5b5f61092788846136fc565b5f85815260208190526040812080547fffffffffffffffffffffffffffffffff00000000000000000000000000000000166fffffffffffffffffffffffffffffffff8481169190911790915591925090841690036109b857837f69d8248d5566bdb2ebc4d218970710d8378a2ff9b709a999e052b71970f808fa8a6040516109af91906137d7565b60405180910390a25b604080516fffffffffffffffffffffffffffffffff808b16825283166020820152339186917f6c2a09353b5e75e70d0b9778b80a413809bb235d46c211811c474b3346791d89910160405180910390a350505050610a1461221f565b5050505050565b610a2361206b565b5f819003610a5d576040517fc2e5347d00000000000000000000000000000000000000000000000000000000815260040160405180910390fd5b5f610b45604080518082018252601581527f7834303220426174636820536574746c656d656e7400000000000000000000006020918201528151808301835260018152603160f81b9082015281517f8b73c3c69bb8fe3d512ecc4cf759cc79239f7b179b0ffacaa9a75d522b39400f818301527fe03c502b9066cc6f23a8f0f48ed32cb7d506f9f0a2d0055449f256846a770e9a818401527fc89efdaa54c0f20c7adf612882df0950f5a951637e0307cdcb4c672f298b8bc660608201524660808201523060a0808301919091528351808303909101815260c0909101909252815191012090565b90505f5b82811015610c415736848483818110610b6457610b646137e5565b9050602002810190610b769190613812565b9050610b88606082016040830161362d565b6001600160a01b0316336001600160a01b031614158015610bca5750610bb4608082016060830161362d565b6001600160a01b0316336001600160a01b031614155b15610c01576040517fdefb706900000000000000000000000000000000000000000000000000000000815260040160405180910390fd5b610c3883610c0f85846121cc565b878786818110610c2157610c216137e5565b9050602002810190610c339190613812565b612249565b50600101610b49565b5050610c4b61221f565b5050565b5f5f610d38604080518082018252601581527f7834303220426174636820536574746c656d656e7400000000000000000000006020918201528151808301835260018152603160f81b9082015281517f8b73c3c69bb8fe3d512ecc4cf759cc79239f7b179b0ffacaa9a75d522b39400f818301527fe03c502b9066cc6f23a8f0f48ed32cb7d506f9f0a2d0055449f256846a770e9a818401527fc89efdaa54c0f20c7adf612882df0950f5a951637e0307cdcb4c672f298b8bc660608201524660808201523060a0808301919091528351808303909101815260c0909101909252815191012090565b90505f8367ffffffffffffffff811115610d5457610d5461384e565b604051908082528060200260200182016040528015610d7d578160200160208202803683370190505b5090505f5b8151811015610e0e575f610db984888885818110610da257610da26137e5565b9050602002810190610db49190613812565b6121cc565b9050610de881888885818110610dd157610dd16137e5565b9050602002810190610de39190613812565b6125b8565b838381518110610dfa57610dfa6137e5565b602090810291909101015250600101610d82565b50610e198282612651565b925050505b92915050565b5f610e1e610f0f604080518082018252601581527f7834303220426174636820536574746c656d656e7400000000000000000000006020918201528151808301835260018152603160f81b9082015281517f8b73c3c69bb8fe3d512ecc4cf759cc79239f7b179b0ffacaa9a75d522b39400f818301527fe03c502b9066cc6f23a8f0f48ed32cb7d506f9f0a2d0055449f256846a770e9a818401527fc89efdaa54c0f20c7adf612882df0950f5a951637e0307cdcb4c672f298b8bc660608201524660808201523060a0808301919091528351808303909101815260c0909101909252815191012090565b836121cc565b5f6060805f5f5f60606040518060400160405280601581526020017f7834303220426174636820536574746c656d656e740000000000000000000000815250604051806040016040528060018152602001603160f81b81525046305f5f1b5f67ffffffffffffffff811115610f8c57610f8c61384e565b604051908082528060200260200182016040528015610fb5578160200160208202803683370190505b507f0f000000000000000000000000000000000000000000000000000000000000009d959c50939a509198509650945092509050565b5f6110dd6110d6604080518082018252601581527f7834303220426174636820536574746c656d656e7400000000000000000000006020918201528151808301835260018152603160f81b9082015281517f8b73c3c69bb8fe3d512ecc4cf759cc79239f7b179b0ffacaa9a75d522b39400f818301527fe03c502b9066cc6f23a8f0f48ed32cb7d506f9f0a2d0055449f256846a770e9a818401527fc89efdaa54c0f20c7adf612882df0950f5a951637e0307cdcb4c672f298b8bc660608201524660808201523060a0808301919091528351808303909101815260c0909101909252815191012090565b84846126b8565b9392505050565b6110ec61206b565b6001600160a01b038083165f9081526003602090815260408083209385168352929052908120805490916fffffffffffffffffffffffffffffffff8083169261114b917001000000000000000000000000000000009091041683613605565b9050806fffffffffffffffffffffffffffffffff165f0361116e5750505061120e565b82546fffffffffffffffffffffffffffffffff90811670010000000000000000000000000000000084831602178455604051908216815233906001600160a01b0386811691908816907f7337b4386b690fdb8ba66905b92b9d45d33bc6626ee2620c905fb150ec0cc47d9060200160405180910390a461120a6001600160a01b038516866fffffffffffffffffffffffffffffffff8416612710565b5050505b610c4b61221f565b604080515f8152602081019091526060908267ffffffffffffffff8111156112405761124061384e565b60405190808252806020026020018201604052801561127357816020015b606081526020019060019003908161125e5790505b5091505f5b838110156112f4576112cf30868684818110611296576112966137e5565b90506020028101906112a8919061387b565b856040516020016112bb939291906138dc565b604051602081830303815290604052612768565b8382815181106112e1576112e16137e5565b6020908102919091010152600101611278565b505092915050565b61130461206b565b5f6113ec604080518082018252601581527f7834303220426174636820536574746c656d656e7400000000000000000000006020918201528151808301835260018152603160f81b9082015281517f8b73c3c69bb8fe3d512ecc4cf759cc79239f7b179b0ffacaa9a75d522b39400f818301527fe03c502b9066cc6f23a8f0f48ed32cb7d506f9f0a2d0055449f256846a770e9a818401527fc89efdaa54c0f20c7adf612882df0950f5a951637e0307cdcb4c672f298b8bc660608201524660808201523060a0808301919091528351808303909101815260c0909101909252815191012090565b90505f6113f982886121cc565b5f818152600260205260409020549091508514611442576040517f164f1afe00000000000000000000000000000000000000000000000000000000815260040160405180910390fd5b5f61144f8383888a61283a565b905061146c61146460808a0160608b0161362d565b8287876128a2565b6114778289896128e4565b505050610a1461221f565b61148a61206b565b61149382612ad8565b806fffffffffffffffffffffffffffffffff165f036114de576040517fd0d04f6000000000000000000000000000000000000000000000000000000000815260040160405180910390fd5b5f6115cf6115c9604080518082018252601581527f7834303220426174636820536574746c656d656e7400000000000000000000006020918201528151808301835260018152603160f81b9082015281517f8b73c3c69bb8fe3d512ecc4cf759cc79239f7b179b0ffacaa9a75d522b39400f818301527fe03c502b9066cc6f23a8f0f48ed32cb7d506f9f0a2d0055449f256846a770e9a818401527fc89efdaa54c0f20c7adf612882df0950f5a951637e0307cdcb4c672f298b8bc660608201524660808201523060a0808301919091528351808303909101815260c0909101909252815191012090565b846121cc565b5f818152600160205260409020805491925090700100000000000000000000000000000000900464ffffffffff1615611634576040517fa2aed0f000000000000000000000000000000000000000000000000000000000815260040160405180910390fd5b5f8281526020819052604090208054611675906fffffffffffffffffffffffffffffffff700100000000000000000000000000000000820481169116613605565b6fffffffffffffffffffffffffffffffff16846fffffffffffffffffffffffffffffffff1611156116d2576040517f6d3d576400000000000000000000000000000000000000000000000000000000815260040160405180910390fd5b815464ffffffffff4216700100000000000000000000000000000000027fffffffffffffffffffffff0000000000000000000000000000000000000000009091166fffffffffffffffffffffffffffffffff861617178255827fe4280d0d903c7f258f62b07c62f262377cbaa23f7791d78126e6446e0f0e3c238561175d60c0890160a08a016138ff565b6117679042613918565b604080516fffffffffffffffffffffffffffffffff909316835264ffffffffff90911660208301520160405180910390a2505050610c4b61221f565b6117ab61206b565b6117bb606083016040840161362d565b6001600160a01b0316336001600160a01b0316141580156117fd57506117e7608083016060840161362d565b6001600160a01b0316336001600160a01b031614155b15611834576040517f7864f00800000000000000000000000000000000000000000000000000000000815260040160405180910390fd5b61120e6119216115c9604080518082018252601581527f7834303220426174636820536574746c656d656e7400000000000000000000006020918201528151808301835260018152603160f81b9082015281517f8b73c3c69bb8fe3d512ecc4cf759cc79239f7b179b0ffacaa9a75d522b39400f818301527fe03c502b9066cc6f23a8f0f48ed32cb7d506f9f0a2d0055449f256846a770e9a818401527fc89efdaa54c0f20c7adf612882df0950f5a951637e0307cdcb4c672f298b8bc660608201524660808201523060a0808301919091528351808303909101815260c0909101909252815191012090565b83836128e4565b5f611a1b611a13604080518082018252601581527f7834303220426174636820536574746c656d656e7400000000000000000000006020918201528151808301835260018152603160f81b9082015281517f8b73c3c69bb8fe3d512ecc4cf759cc79239f7b179b0ffacaa9a75d522b39400f818301527fe03c502b9066cc6f23a8f0f48ed32cb7d506f9f0a2d0055449f256846a770e9a818401527fc89efdaa54c0f20c7adf612882df0950f5a951637e0307cdcb4c672f298b8bc660608201524660808201523060a0808301919091528351808303909101815260c0909101909252815191012090565b85858561283a565b949350505050565b611a2b61206b565b825f819003611a66576040517fc2e5347d00000000000000000000000000000000000000000000000000000000815260040160405180910390fd5b5f85855f818110611a7957611a796137e5565b9050602002810190611a8b9190613812565b611a9c90608081019060600161362d565b90505f611b86604080518082018252601581527f7834303220426174636820536574746c656d656e7400000000000000000000006020918201528151808301835260018152603160f81b9082015281517f8b73c3c69bb8fe3d512ecc4cf759cc79239f7b179b0ffacaa9a75d522b39400f818301527fe03c502b9066cc6f23a8f0f48ed32cb7d506f9f0a2d0055449f256846a770e9a818401527fc89efdaa54c0f20c7adf612882df0950f5a951637e0307cdcb4c672f298b8bc660608201524660808201523060a0808301919091528351808303909101815260c0909101909252815191012090565b90505f8367ffffffffffffffff811115611ba257611ba261384e565b604051908082528060200260200182016040528015611bcb578160200160208202803683370190505b5090505f8467ffffffffffffffff811115611be857611be861384e565b604051908082528060200260200182016040528015611c11578160200160208202803683370190505b5090505f5b85811015611d1c57368a8a83818110611c3157611c316137e5565b9050602002810190611c439190613812565b90506001600160a01b038616611c5f608083016060840161362d565b6001600160a01b031614611c9f576040517ff5e2237d00000000000000000000000000000000000000000000000000000000815260040160405180910390fd5b611ca985826121cc565b848381518110611cbb57611cbb6137e5565b602002602001018181525050611cf6848381518110611cdc57611cdc6137e5565b60200260200101518c8c85818110610dd157610dd16137e5565b838381518110611d0857611d086137e5565b602090810291909101015250600101611c16565b50611d3284611d2b8584612651565b89896128a2565b5f5b85811015611d7457611d6c84848381518110611d5257611d526137e5565b60200260200101518c8c85818110610c2157610c216137e5565b600101611d34565b505050505050611d8261221f565b50505050565b611d9061206b565b611d9981612ad8565b5f611e84610f0f604080518082018252601581527f7834303220426174636820536574746c656d656e7400000000000000000000006020918201528151808301835260018152603160f81b9082015281517f8b73c3c69bb8fe3d512ecc4cf759cc79239f7b179b0ffacaa9a75d522b39400f818301527fe03c502b9066cc6f23a8f0f48ed32cb7d506f9f0a2d0055449f256846a770e9a818401527fc89efdaa54c0f20c7adf612882df0950f5a951637e0307cdcb4c672f298b8bc660608201524660808201523060a0808301919091528351808303909101815260c0909101909252815191012090565b5f8181526001602090815260408083208151808301909252546fffffffffffffffffffffffffffffffff81168252700100000000000000000000000000000000900464ffffffffff169181018290529293509003611f0e576040517f3a0a1ca600000000000000000000000000000000000000000000000000000000815260040160405180910390fd5b611f1e60c0840160a085016138ff565b64ffffffffff16816020015164ffffffffff16611f3b91906136e9565b421015611f74576040517ff396582700000000000000000000000000000000000000000000000000000000815260040160405180910390fd5b5f82815260016020526040812080547fffffffffffffffffffffff0000000000000000000000000000000000000000001690558151611fb69084908690612b5e565b6040516fffffffffffffffffffffffffffffffff82168152909150339084907f546ce1e2242cd930c196bd08b894443562d709b4fffe4f028a75a6d233efc6e39060200160405180910390a36fffffffffffffffffffffffffffffffff81161561205d5761205d61202a602086018661362d565b6fffffffffffffffffffffffffffffffff831661204d60a088016080890161362d565b6001600160a01b03169190612710565b50505061206861221f565b50565b612073612c91565b6120a060017f9b779b17422d0df92223018b32b4d1fa46e071723d6817e2486d003becc55f005b90612cea565b565b5f6120b0602083018361362d565b6001600160a01b031614806120dc57505f6120d1606083016040840161362d565b6001600160a01b0316145b806120fe57505f6120f3608083016060840161362d565b6001600160a01b0316145b8061212057505f61211560a083016080840161362d565b6001600160a01b0316145b15612157576040517fea3a9a3900000000000000000000000000000000000000000000000000000000815260040160405180910390fd5b61038461216a60c0830160a084016138ff565b64ffffffffff161080612195575062278d0061218c60c0830160a084016138ff565b64ffffffffff16115b15612068576040517f4574fab600000000000000000000000000000000000000000000000000000000815260040160405180910390fd5b5f6110dd837f1c9a06ceab9b0ebbd3301dc56c9111bb6d9af421356dc9ccb3b7084c755db30884604051602001612204929190613935565b60405160208183030381529060405280519060200120612cf1565b6120a05f7f9b779b17422d0df92223018b32b4d1fa46e071723d6817e2486d003becc55f0061209a565b5f828152602081905260408120805490917001000000000000000000000000000000009091046fffffffffffffffffffffffffffffffff16906122946101408501610120860161394a565b9050816fffffffffffffffffffffffffffffffff16816fffffffffffffffffffffffffffffffff16116122c957505050505050565b6122da610100850160e0860161394a565b6fffffffffffffffffffffffffffffffff16816fffffffffffffffffffffffffffffffff161115612337576040517ff178977500000000000000000000000000000000000000000000000000000000815260040160405180910390fd5b82546fffffffffffffffffffffffffffffffff9081169082161115612388576040517f7d8242b600000000000000000000000000000000000000000000000000000000815260040160405180910390fd5b835f6123a588886123a0610100860160e0870161394a565b6126b8565b90505f6123b8604084016020850161362d565b6001600160a01b0316036123ef576123ea6123d6602084018461362d565b826123e56101008a018a61387b565b6128a2565b61245f565b6123ff604083016020840161362d565b6001600160a01b031661241f8261241a6101008a018a61387b565b612d32565b6001600160a01b03161461245f576040517f8baa579f00000000000000000000000000000000000000000000000000000000815260040160405180910390fd5b5f61246a8585613605565b86546fffffffffffffffffffffffffffffffff80871670010000000000000000000000000000000002911617875590508060035f6124ae606087016040880161362d565b6001600160a01b0316815260208101919091526040015f908120906124d960a087016080880161362d565b6001600160a01b0316815260208101919091526040015f90812080549091906125159084906fffffffffffffffffffffffffffffffff166136fc565b92506101000a8154816fffffffffffffffffffffffffffffffff02191690836fffffffffffffffffffffffffffffffff160217905550336001600160a01b0316887f36bd546bb573e8921fdbfd934bbed62d872796b01792cd240cce27f79dd3eddd83876040516125a59291906fffffffffffffffffffffffffffffffff92831681529116602082015260400190565b60405180910390a3505050505050505050565b5f7f30b9a0367528fca13c3e8ec6134c3113f1887ebe7a1ad61de0955aac288b0cf5836125ec610100850160e0860161394a565b6125fe6101408601610120870161394a565b6040805160208101959095528401929092526fffffffffffffffffffffffffffffffff908116606084015216608082015260a0015b60405160208183030381529060405280519060200120905092915050565b5f6110dd837f42bd57c010b870c2e96203c66341f28a6a19b4d56a74533a8eb5f706b9fd6d57846040516020016126889190613963565b60405160208183030381529060405280519060200120604051602001612204929190918252602082015260400190565b604080517f1e1bd6ff84c3e0d9029a292b212e039c0ca97ec497c55191a4a5874294609a6960208201529081018390526fffffffffffffffffffffffffffffffff821660608201525f90611a1b908590608001612204565b61271d8383836001612d5c565b612763576040517f5274afe70000000000000000000000000000000000000000000000000000000081526001600160a01b03841660048201526024015b60405180910390fd5b505050565b60605f6127758484612dd7565b905080801561279657505f3d118061279657505f846001600160a01b03163b115b156127ab576127a3612dea565b915050610e1e565b80156127ee576040517f9996b3150000000000000000000000000000000000000000000000000000000081526001600160a01b038516600482015260240161275a565b3d15612801576127fc612e03565b612833565b6040517fd6bda27500000000000000000000000000000000000000000000000000000000815260040160405180910390fd5b5092915050565b604080517fbe23ad087435072cd69b49cc5b92de10ee610fce7ae0ab428307972d764bb2166020820152908101849052606081018390526fffffffffffffffffffffffffffffffff821660808201525f9061289990869060a001612204565b95945050505050565b6128ae84848484612e0e565b611d82576040517f8baa579f00000000000000000000000000000000000000000000000000000000815260040160405180910390fd5b806fffffffffffffffffffffffffffffffff165f0361292f576040517fd758525c00000000000000000000000000000000000000000000000000000000815260040160405180910390fd5b5f838152600260205260408120805490919061294a90613998565b909155505f61295a848484612b5e565b9050806fffffffffffffffffffffffffffffffff165f0361297b5750505050565b5f8481526001602052604090208054700100000000000000000000000000000000900464ffffffffff1615612a5c5780546fffffffffffffffffffffffffffffffff90811690831610612a00575f85815260016020526040902080547fffffffffffffffffffffff000000000000000000000000000000000000000000169055612a5c565b8054829082905f90612a259084906fffffffffffffffffffffffffffffffff16613605565b92506101000a8154816fffffffffffffffffffffffffffffffff02191690836fffffffffffffffffffffffffffffffff1602179055505b6040516fffffffffffffffffffffffffffffffff83168152339086907fa84286cf8ebc7903a663c77c8d99aa92b600d4c2fcca872a5d4a663db4eb394b9060200160405180910390a3610a14612ab5602086018661362d565b6fffffffffffffffffffffffffffffffff841661204d60a088016080890161362d565b612ae5602082018261362d565b6001600160a01b0316336001600160a01b031614158015612b275750612b11604082016020830161362d565b6001600160a01b0316336001600160a01b031614155b15612068576040517f15f969d500000000000000000000000000000000000000000000000000000000815260040160405180910390fd5b5f83815260208190526040812080546fffffffffffffffffffffffffffffffff808216918491612ba39170010000000000000000000000000000000090041683613605565b9050806fffffffffffffffffffffffffffffffff16856fffffffffffffffffffffffffffffffff1610612bd65780612bd8565b845b9350836fffffffffffffffffffffffffffffffff165f03612bfe575f93505050506110dd565b612c088483613605565b83547fffffffffffffffffffffffffffffffff00000000000000000000000000000000166fffffffffffffffffffffffffffffffff91821617845584811690831603612c8757867f8d5942f197f362dfd44dfdc1b0b7a9721c9151b67f55817c83349271d3c08d3787604051612c7e91906137d7565b60405180910390a25b5050509392505050565b7f9b779b17422d0df92223018b32b4d1fa46e071723d6817e2486d003becc55f005c156120a0576040517f3ee5aeb500000000000000000000000000000000000000000000000000000000815260040160405180910390fd5b80825d5050565b6040517f1901000000000000000000000000000000000000000000000000000000000000602082015260228101839052604281018290525f90606201612633565b5f5f5f5f612d41878787612e80565b925092509250612d518282612ec7565b509095945050505050565b6040517fa9059cbb000000000000000000000000000000000000000000000000000000005f8181526001600160a01b038616600452602485905291602083604481808b5af1925060015f51148316612dcb578383151615612dbf573d5f823e3d81fd5b5f873b113d1516831692505b60405250949350505050565b5f5f5f835160208501865af49392505050565b6040513d81523d5f602083013e3d602001810160405290565b6040513d5f823e3d81fd5b5f846001600160a01b03163b5f03612e6d575f5f612e2d868686612e80565b5090925090505f816003811115612e4657612e466139cf565b148015612e645750866001600160a01b0316826001600160a01b0316145b92505050611a1b565b612e7985858585612fca565b9050611a1b565b5f80806041849003612eb4578435602086013560408701355f1a612ea68982858561304d565b955095509550505050612ebe565b505f915060029050825b93509350939050565b5f826003811115612eda57612eda6139cf565b03612ee3575050565b6001826003811115612ef757612ef76139cf565b03612f2e576040517ff645eedf00000000000000000000000000000000000000000000000000000000815260040160405180910390fd5b6002826003811115612f4257612f426139cf565b03612f7c576040517ffce698f70000000000000000000000000000000000000000000000000000000081526004810182905260240161275a565b6003826003811115612f9057612f906139cf565b03610c4b576040517fd78bce0c0000000000000000000000000000000000000000000000000000000081526004810182905260240161275a565b604080517f1626ba7e00000000000000000000000000000000000000000000000000000000808252600482018690526024820192909252604481018390525f91908390818660648301375f82606483010152601f820160051c60051b915060205f60648401838b5afa9050825f5114601f3d111681169350505050949350505050565b5f80807f7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a084111561308657505f91506003905082613129565b604080515f808252602082018084528a905260ff891692820192909252606081018790526080810186905260019060a0016020604051602081039080840390855afa1580156130d7573d5f5f3e3d5ffd5b50506040517fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe001519150506001600160a01b03811661312057505f925060019150829050613129565b92505f91508190505b9450945094915050565b5f60e08284031215613143575f5ffd5b50919050565b80356fffffffffffffffffffffffffffffffff81168114613168575f5ffd5b919050565b80356001600160a01b0381168114613168575f5ffd5b5f5f83601f840112613193575f5ffd5b50813567ffffffffffffffff8111156131aa575f5ffd5b6020830191508360208285010111156131c1575f5ffd5b9250929050565b5f5f5f5f5f61014086880312156131dd575f5ffd5b6131e78787613133565b94506131f560e08701613149565b9350613204610100870161316d565b925061012086013567ffffffffffffffff811115613220575f5ffd5b61322c88828901613183565b969995985093965092949392505050565b5f5f6040838503121561324e575f5ffd5b6132578361316d565b91506132656020840161316d565b90509250929050565b5f5f83601f84011261327e575f5ffd5b50813567ffffffffffffffff811115613295575f5ffd5b6020830191508360208260051b85010111156131c1575f5ffd5b5f5f602083850312156132c0575f5ffd5b823567ffffffffffffffff8111156132d6575f5ffd5b6132e28582860161326e565b90969095509350505050565b5f60e082840312156132fe575f5ffd5b6110dd8383613133565b5f60208284031215613318575f5ffd5b5035919050565b5f81518084528060208401602086015e5f6020828601015260207fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe0601f83011685010191505092915050565b7fff000000000000000000000000000000000000000000000000000000000000008816815260e060208201525f6133a560e083018961331f565b82810360408401526133b7818961331f565b606084018890526001600160a01b038716608085015260a0840186905283810360c0850152845180825260208087019350909101905f5b8181101561340c5783518352602093840193909201916001016133ee565b50909b9a5050505050505050505050565b5f5f6040838503121561342e575f5ffd5b8235915061326560208401613149565b5f602082016020835280845180835260408501915060408160051b8601019250602086015f5b828110156134b3577fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffc087860301845261349e85835161331f565b94506020938401939190910190600101613464565b50929695505050505050565b5f5f5f5f5f61014086880312156134d4575f5ffd5b6134de8787613133565b94506134ec60e08701613149565b9350610100860135925061012086013567ffffffffffffffff811115613220575f5ffd5b5f5f6101008385031215613522575f5ffd5b61352c8484613133565b915061326560e08401613149565b5f5f5f6060848603121561354c575f5ffd5b833592506020840135915061356360408501613149565b90509250925092565b5f5f5f5f6040858703121561357f575f5ffd5b843567ffffffffffffffff811115613595575f5ffd5b6135a18782880161326e565b909550935050602085013567ffffffffffffffff8111156135c0575f5ffd5b6135cc87828801613183565b95989497509550505050565b7f4e487b71000000000000000000000000000000000000000000000000000000005f52601160045260245ffd5b6fffffffffffffffffffffffffffffffff8281168282160390811115610e1e57610e1e6135d8565b5f6020828403121561363d575f5ffd5b6110dd8261316d565b5f60208284031215613656575f5ffd5b5051919050565b6001600160a01b03871681526001600160a01b03861660208201526fffffffffffffffffffffffffffffffff8516604082015283606082015260a060808201528160a0820152818360c08301375f81830160c090810191909152601f9092017fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe016010195945050505050565b80820180821115610e1e57610e1e6135d8565b6fffffffffffffffffffffffffffffffff8181168382160190811115610e1e57610e1e6135d8565b803564ffffffffff81168114613168575f5ffd5b6001600160a01b036137498261316d565b1682526001600160a01b036137606020830161316d565b1660208301526001600160a01b0361377a6040830161316d565b1660408301526001600160a01b036137946060830161316d565b1660608301526001600160a01b036137ae6080830161316d565b1660808301526137c060a08201613724565b64ffffffffff1660a083015260c090810135910152565b60e08101610e1e8284613738565b7f4e487b71000000000000000000000000000000000000000000000000000000005f52603260045260245ffd5b5f82357ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffec1833603018112613844575f5ffd5b9190910192915050565b7f4e487b71000000000000000000000000000000000000000000000000000000005f52604160045260245ffd5b5f5f83357fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe18436030181126138ae575f5ffd5b83018035915067ffffffffffffffff8211156138c8575f5ffd5b6020019150368190038213156131c1575f5ffd5b828482375f8382015f815283518060208601835e5f910190815295945050505050565b5f6020828403121561390f575f5ffd5b6110dd82613724565b64ffffffffff8181168382160190811115610e1e57610e1e6135d8565b82815261010081016110dd6020830184613738565b5f6020828403121561395a575f5ffd5b6110dd82613149565b81515f90829060208501835b8281101561398d57815184526020938401939091019060010161396f565b509195945050505050565b5f7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff82036139c8576139c86135d8565b5060010190565b7f4e487b71000000000000000000000000000000000000000000000000000000005f52602160045260245ffd' as const
