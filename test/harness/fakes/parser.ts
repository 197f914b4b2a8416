import { parseBytes, type ManifestParser } from '../../../operator/src/resources/files/parser.ts';

/** Parses at once, in the test's own thread. */
export const directParser: ManifestParser = {
  parse: (bytes) => Promise.resolve(parseBytes(bytes)),
  close: () => Promise.resolve(),
};
