import { guideBlock as blockOf } from './guide.ts';

/** A block of the page on Vault, by its language and name: `guideBlock('hcl policy')`. */
export const guideBlock = (label: string): string => blockOf('vault', label);

/** The policy of the page, for another folder than `keywright`: tests share one server. */
export function guidePolicy(folder: string): string {
  return guideBlock('hcl policy').replaceAll('/keywright/', `/${folder}/`);
}
