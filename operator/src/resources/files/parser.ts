import { parseManifestText } from './documents.ts';
import type { ManifestText } from './documents.ts';

/** What became of a file's bytes. A fault without a line is about the whole file. */
export type ParsedFile =
  | Extract<ManifestText, { ok: true }>
  | { readonly ok: false; readonly fault: { readonly line?: number; readonly message: string } };

/** Reads manifests where that keeps nobody waiting. */
export interface ManifestParser {
  /** Never rejects: what cannot be read, or takes more time or memory than a file may cost, is a fault. */
  parse(bytes: Uint8Array): Promise<ParsedFile>;
  /** Ends what runs; what was asked for and is not answered never is. */
  close(): Promise<void>;
}

/** The bytes of one file. Synchronous, for as long as {@link parseManifestText} says. */
export function parseBytes(bytes: Uint8Array): ParsedFile {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return fault('the file is no UTF-8 text');
  }
  try {
    return parseManifestText(text);
  } catch (error) {
    // The stack is the only bound on depth that every step has.
    if (error instanceof RangeError) return fault('the file is nested too deeply');
    // The parser's own messages quote the text.
    return fault('the file cannot be read as YAML');
  }
}

function fault(message: string): ParsedFile {
  return { ok: false, fault: { message } };
}
