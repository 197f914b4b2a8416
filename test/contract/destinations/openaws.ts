import { openAwsDestination, type AwsSpec } from '../../../operator/src/destinations/aws/aws.ts';
import type { Destination } from '../../../operator/src/destinations/port.ts';
import { Plaintext } from '../../../operator/src/domain/plaintext.ts';
import { systemClock } from '../../../operator/src/domain/time.ts';
import { permitAws } from '../../builders/credential.ts';

/** An account of AWS, and the access keys of somebody there. */
export interface AwsPlace {
  readonly endpoint: string;
  readonly region: string;
  readonly keys: { readonly accessKeyId: string; readonly secretAccessKey: string };
  readonly timeoutMs?: number;
}

/** Opens a destination there, with access keys from a Secret. */
export function openAws({ endpoint, region, keys, timeoutMs }: AwsPlace, change: Partial<AwsSpec> = {}): Promise<Destination> {
  const entries = new Map([
    ['access-key-id', keys.accessKeyId],
    ['secret-access-key', keys.secretAccessKey],
  ]);
  return openAwsDestination({
    spec: {
      region,
      endpoint,
      name: 'keywright/{namespace}/{name}',
      auth: { secretRef: { name: 'aws' } },
      recoveryWindow: '168h',
      ...change,
    },
    environment: {},
    rules: permitAws(endpoint),
    readCredential: async () => (entry) => {
      const text = entries.get(entry);
      return text === undefined ? undefined : new Plaintext(text);
    },
    clock: systemClock,
    timeoutMs,
  });
}
