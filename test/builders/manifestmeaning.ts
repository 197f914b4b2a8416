import { parseBytes } from '../../operator/src/resources/files/parser.ts';

/** The objects that a file of a manifests folder declares; 'refused' = some of it is not accepted. */
export function meaningOf(text: string): unknown {
  const parsed = parseBytes(new TextEncoder().encode(text));
  if (!parsed.ok || parsed.unnamed || parsed.faults.some(({ level }) => level === 'error')) return 'refused';
  return parsed.documents.map((document) => (document.type === 'object' ? document.object : document.type));
}
