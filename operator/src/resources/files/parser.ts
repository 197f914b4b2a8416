import { parseManifestText } from './documents.ts';
import type { ManifestText } from './content.ts';

/** The result of parsing a file's bytes. A fault without a line is about the whole file. */
export type ParsedFile =
  | Extract<ManifestText, { ok: true }>
  | { readonly ok: false; readonly fault: { readonly line?: number; readonly message: string } };

/** Parses manifests where this delays nobody. */
export interface ManifestParser {
  /** Never rejects: a file that cannot be parsed, or takes more time or memory than allowed, gives a fault. `first`: before others. */
  parse(bytes: Uint8Array, first?: boolean): Promise<ParsedFile>;
  /** Ends the running work; open requests are never answered. */
  close(): Promise<void>;
}

/** Parses the bytes of one file. Synchronous, and as slow as {@link parseManifestText} says. */
export function parseBytes(bytes: Uint8Array): ParsedFile {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return fault('the file is not UTF-8 text');
  }
  try {
    return parseManifestText(text);
  } catch (error) {
    // Only the stack bounds the depth in every step.
    if (error instanceof RangeError) return fault('the file is nested too deeply');
    // The parser's own messages quote the text.
    return fault('the file cannot be read as YAML');
  }
}

function fault(message: string): ParsedFile {
  return { ok: false, fault: { message } };
}
