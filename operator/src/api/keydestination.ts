import * as z from 'zod';
import { addressPattern, originPattern } from '../domain/serveraddress.ts';
import { conditionList } from './conditions.ts';
import { count, duration, foreignPath, freeTextPattern, locationTemplate, objectName, text, writtenInstant } from './fields.ts';
import { credentialLabel, loginServiceAccountName } from './meta.ts';
import { allowedNamespaces } from './namespaces.ts';
import { withRules } from './rule.ts';
import { exactlyOneOf, placeStays } from './rules.ts';

const address = () =>
  text(500).regex(addressPattern, {
    error: 'must be a URL of scheme, host, port and a plain path only, such as https://vault.example.com:8200',
  });
const url = () =>
  text(500).regex(originPattern, {
    error: 'must be a URL of scheme, host and port only, such as https://vault.example.com:8200',
  });
const word = (maxLength: number) =>
  text(maxLength).regex(/^[A-Za-z0-9][A-Za-z0-9._:@/+=-]*$/, { error: 'must be one word of letters, digits and "._:@/+=-"' });

const secretName = () => objectName().describe("The name of the Secret in the operator's namespace, at most 63 characters.");

/** One entry of a Secret. */
const secretRef = (entry: string) =>
  z
    .strictObject({
      name: secretName(),
      key: text(253)
        .regex(/^[A-Za-z0-9._-]+$/, { error: 'must be the name of an entry of a Secret' })
        .default(entry)
        .describe(`The entry of the Secret, at most 253 characters; default ${entry}.`),
    })
    .describe(`A Secret in the operator's namespace that bears the label ${credentialLabel}.`);

const vaultAuth = withRules(
  z.strictObject({
    kubernetes: z
      .strictObject({
        role: word(200).describe('The role of the auth method, at most 200 characters.'),
        serviceAccountRef: z
          .strictObject({
            name: objectName().describe("The name of the ServiceAccount in the operator's namespace, at most 63 characters."),
          })
          .default({ name: loginServiceAccountName })
          .describe(
            `The ServiceAccount that logs in: ${loginServiceAccountName}, the default, or one that the installation permits. Never that of the operator.`,
          ),
        audience: word(200)
          .exactOptional()
          .describe(
            'The audience of the token that is requested for the login, at most 200 characters; default: the address, with scheme and host in lower case. For any other audience, list the server in destinations.vaultAddresses.',
          ),
        mount: foreignPath(5)
          .default('kubernetes')
          .describe('Where the auth method is mounted, 1 to 5 segments; default kubernetes.'),
      })
      .exactOptional()
      .describe('Login with a token of a ServiceAccount that has no rights in the cluster.'),
    appRole: z
      .strictObject({
        roleId: word(200).describe('The role id, at most 200 characters.'),
        secretRef: secretRef('secret-id'),
        mount: foreignPath(5).default('approle').describe('Where the auth method is mounted, 1 to 5 segments; default approle.'),
      })
      .exactOptional()
      .describe('Login with a role id and a secret id.'),
    token: z
      .strictObject({ secretRef: secretRef('token') })
      .exactOptional()
      .describe('A token as it is.'),
  }),
  [exactlyOneOf(['kubernetes', 'appRole', 'token'])],
);

const vault = z.strictObject({
  address: address().describe(
    'The URL of Vault, with the path of a gateway before it if there is one, at most 500 characters; immutable. Plain http needs a server that the installation lists as insecure, or loopback outside of a Pod.',
  ),
  mount: foreignPath(5).describe('The mount of the KV version 2 engine, 1 to 5 segments; immutable.'),
  path: locationTemplate()
    .default('keywright/{namespace}/{name}')
    .describe(
      'The template of the paths, at most 512 characters; default keywright/{namespace}/{name}; immutable. Give two destinations on one server templates that cannot meet.',
    ),
  auth: vaultAuth.describe('How the operator logs in: kubernetes, appRole or token.'),
  caBundle: z
    .string()
    .min(1)
    .max(65_536)
    .regex(/-----BEGIN CERTIFICATE-----/, { error: 'must be certificates in PEM' })
    .exactOptional()
    .describe(
      'The certificates in PEM that the server is checked against, at most 65536 characters; default: those of the system.',
    ),
  namespace: foreignPath(8).exactOptional().describe('The Vault namespace, 1 to 8 segments; immutable.'),
});

const awsAuth = withRules(
  z.strictObject({
    irsa: z
      .strictObject({})
      .exactOptional()
      .describe('The role of the ServiceAccount of the operator: IRSA, or EKS Pod Identity.'),
    roleArn: text(2048)
      .regex(/^arn:[a-z0-9-]+:iam::[0-9]{12}:role\/[A-Za-z0-9+=,.@_/-]+$/, { error: 'must be the ARN of an IAM role' })
      .exactOptional()
      .describe(
        'A role to assume with the role of the ServiceAccount of the operator, at most 2048 characters. If its account changes, or it takes the place of another login, each key needs a confirmation before it is delivered there.',
      ),
    externalId: word(1224).exactOptional().describe('The external id for roleArn, at most 1224 characters.'),
    secretRef: z
      .strictObject({ name: secretName() })
      .exactOptional()
      .describe(
        `A Secret in the operator's namespace with the label ${credentialLabel}: aws, and access-key-id, secret-access-key and, for a session, session-token. To rotate them, change the content of the Secret: if the name changes, each key needs a confirmation before it is delivered there.`,
      ),
  }),
  [
    exactlyOneOf(['irsa', 'roleArn', 'secretRef']),
    {
      cel: '!has(self.externalId) || has(self.roleArn)',
      message: 'externalId needs roleArn',
      field: 'externalId',
      holds: (self) => self.externalId === undefined || self.roleArn !== undefined,
    },
  ],
);

const aws = z.strictObject({
  region: text(30)
    .regex(/^[a-z]{2}(-[a-z0-9]+)+$/, { error: 'must be an AWS region such as eu-west-1' })
    .describe('The region, at most 30 characters; immutable.'),
  name: locationTemplate()
    .default('keywright/{namespace}/{name}')
    .describe(
      'The template of the names, at most 512 characters; default keywright/{namespace}/{name}; immutable. Give two destinations on one server templates that cannot meet.',
    ),
  auth: awsAuth.describe('How the operator logs in: irsa, roleArn or secretRef.'),
  kmsKeyId: word(2048)
    .exactOptional()
    .describe('The KMS key for the values, at most 2048 characters; default: the key of the account.'),
  endpoint: url()
    .exactOptional()
    .describe(
      'Another URL of the service, at most 500 characters; default: that of the region; immutable. An endpoint outside AWS must be listed in destinations.awsEndpoints.',
    ),
  stsEndpoint: url()
    .exactOptional()
    .describe(
      'Another URL of AWS STS for irsa and roleArn, at most 500 characters; default: that of the region. An endpoint outside AWS must be listed in destinations.awsEndpoints.',
    ),
  tags: z
    .record(
      z.string(),
      z.string().max(256).regex(new RegExp(freeTextPattern), { error: 'must be text without the NUL character' }),
    )
    .refine((tags) => Object.keys(tags).length <= 20, { error: 'must not hold more than 20 tags' })
    .meta({ maxProperties: 20 })
    .exactOptional()
    .describe('Tags for every secret, at most 20, values of at most 256 characters.'),
  recoveryWindow: duration('168h', '720h')
    .default('168h')
    .describe('How long a withdrawn secret can be restored, as a duration from 168h to 720h, whole days; default 168h.'),
});

/** `spec` of a KeyDestination: where keys are delivered. */
export const keyDestinationSpecSchema = withRules(
  z.strictObject({
    allowedNamespaces: allowedNamespaces()
      .default({})
      .describe('The namespaces whose keys may be delivered there; default: none.'),
    vault: vault.exactOptional().describe('A KV version 2 engine of HashiCorp Vault or OpenBao.'),
    aws: aws.exactOptional().describe('AWS Secrets Manager in one account and region.'),
  }),
  [exactlyOneOf(['vault', 'aws'])],
  placeStays,
);

/** What a change of a KeyDestination must not do. */
export const keyDestinationTransitions = placeStays;

/** `status` of a KeyDestination; only the operator writes it. */
export const keyDestinationStatusSchema = z.strictObject({
  observedGeneration: count().exactOptional().describe('The metadata.generation that the status speaks of.'),
  conditions: conditionList(),
  keys: count().exactOptional().describe('The ApiKeys with a value there, at most a minute old.'),
  lastCheckedAt: writtenInstant().exactOptional().describe('When login and rights were last checked.'),
});
