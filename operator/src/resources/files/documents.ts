import { Content, TooManyObjects } from './content.ts';
import type { ManifestText } from './content.ts';
import { recognise } from './recognise.ts';
import { faultOf, readDocuments } from './yamltext.ts';

/**
 * Reads a manifest: YAML or JSON, several documents, lists. Messages never quote the text: it may contain a Secret's value. Time and
 * memory are linear in the text, but reach seconds, and some hundred bytes per character: call it where nobody waits for an answer
 * (`worker.ts`).
 */
export function parseManifestText(text: string): ManifestText {
  const content = new Content();
  try {
    for (const document of readDocuments(text)) recognise(document, content);
  } catch (error) {
    const fault = error instanceof TooManyObjects ? error.fault : faultOf(error);
    if (fault === undefined) throw error;
    return { ok: false, fault };
  }
  const { documents, unnamed, empty, stray, faults, more } = content;
  return { ok: true, documents, unnamed, empty, ...(stray === undefined ? {} : { stray }), faults, more };
}
