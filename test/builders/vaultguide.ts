import { guideBlock as blockOf } from './guide.ts';

/** A block of the page on Vault, by its language and name: `guideBlock('hcl policy')`. */
export const guideBlock = (label: string): string => blockOf('vault', label);

/** The policy of the page, for another folder than `keywright`: tests share one server. */
export function guidePolicy(folder: string): string {
  return guideBlock('hcl policy').replaceAll('/keywright/', `/${folder}/`);
}

/** The policy for the namespace `payments` alone: its blocks take the place of the first three. */
export function guideNamespacePolicy(folder: string): string {
  const wide = /^path "secret\/[^}]*\}\n/gm;
  return guideBlock('hcl namespace').replaceAll('/keywright/', `/${folder}/`) + guidePolicy(folder).replaceAll(wide, '');
}
