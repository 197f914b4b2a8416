import { randomUUID } from 'node:crypto';
import { AwsError } from './error.ts';

/** A customer managed key. */
export interface KmsKey {
  readonly id: string;
  readonly arn: string;
  /** As `alias/keywright`. */
  readonly alias: string;
}

/** The customer managed keys of one account and region. */
export class KmsKeys {
  readonly #base: string;
  readonly #keys = new Map<string, KmsKey & { disabled: boolean }>();

  constructor(region: string, account: string) {
    this.#base = `arn:aws:kms:${region}:${account}`;
  }

  create(name: string): KmsKey {
    const id = randomUUID();
    const key = { id, arn: `${this.#base}:key/${id}`, alias: `alias/${name}`, disabled: false };
    this.#keys.set(id, key);
    return key;
  }

  disable(id: string): void {
    const key = this.#keys.get(id);
    if (key !== undefined) key.disabled = true;
  }

  /** The ARN of a key that is named by id, ARN, alias or alias ARN; policies speak of it. `undefined`: no such key. */
  arnOf(kmsKeyId: string): string | undefined {
    return this.#find(kmsKeyId)?.arn;
  }

  /** Throws what Secrets Manager answers when the key is not there, or is disabled. */
  use(kmsKeyId: string, use: 'encrypt' | 'decrypt'): void {
    const key = this.#find(kmsKeyId);
    if (key?.disabled === false) return;
    if (key === undefined && use === 'encrypt') throw new AwsError('InvalidParameterException', 'The KMS key does not exist.');
    throw use === 'encrypt'
      ? new AwsError('EncryptionFailure', "Secrets Manager can't encrypt the protected secret text using the provided KMS key.")
      : new AwsError('DecryptionFailure', "Secrets Manager can't decrypt the protected secret text using the provided KMS key.");
  }

  #find(name: string): (KmsKey & { disabled: boolean }) | undefined {
    return [...this.#keys.values()].find((key) => [key.id, key.arn, key.alias, `${this.#base}:${key.alias}`].includes(name));
  }
}
