import { userInfo } from 'node:os';
import type { Actor } from '../store/port.ts';

/** Who runs this command, for the audit: `cli:<user>`. In containers, the user id often has no name. */
export function actorOfCommand(): Actor {
  try {
    return `cli:${userInfo().username}`;
  } catch {
    return `cli:uid ${String(process.getuid?.() ?? 'unknown')}`;
  }
}
