import { createHash } from 'node:crypto';
import { stalled } from '../../domain/failure.ts';
import { maxEpoch, type VersionMark } from '../../domain/version.ts';

const grammar = /^([0-9A-Za-z]{12})-([0-9]{9,10})-([0-9a-f]{16})-[0-9a-f]{8}$/;

/**
 * The ClientRequestToken of a write, which becomes the VersionId: `<key id>-<epoch>-<envelope digest>-<over>`, 48 or 49 of the
 * 32 to 64 characters that AWS takes. It names the content and what was there before (`over`, the version under
 * AWSCURRENT), so that a repeated write is the same version and is ignored, while the same value written once more over
 * a stranger's is a new one, which AWS stages anew.
 *
 * @example formatVersionId({ keyId: '7mQ2kR9xW4tL', epoch: 3, envelope: '0123456789abcdef' }, undefined)
 * // '7mQ2kR9xW4tL-000000003-0123456789abcdef-e3b0c442'
 */
export function formatVersionId(mark: VersionMark, over: string | undefined): string {
  const digest = createHash('sha256')
    .update(over ?? '')
    .digest('hex')
    .slice(0, 8);
  const id = `${mark.keyId}-${String(mark.epoch).padStart(9, '0')}-${mark.envelope}-${digest}`;
  if (!grammar.test(id)) throw stalled('InternalError', 'the version does not fit into the id of a version of AWS');
  return id;
}

/** What a VersionId says; `undefined` when it is not one of ours, e.g. after a change by hand. */
export function parseVersionId(id: string | undefined): VersionMark | undefined {
  const match = id === undefined ? null : grammar.exec(id);
  if (match === null) return undefined;
  const [, keyId = '', epoch = '', envelope = ''] = match;
  return Number(epoch) < 1 || Number(epoch) > maxEpoch ? undefined : { keyId, epoch: Number(epoch), envelope };
}

/** Whether a VersionId speaks of the value that a mark speaks of. */
export function speaksOf(id: string | undefined, mark: VersionMark): boolean {
  const said = parseVersionId(id);
  return said?.keyId === mark.keyId && said.epoch === mark.epoch && said.envelope === mark.envelope;
}
