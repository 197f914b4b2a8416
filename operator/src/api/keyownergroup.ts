import * as z from 'zod';
import { conditionList } from './conditions.ts';
import { count, freeText } from './fields.ts';
import { grantList, keyCounts } from './keyowner.ts';

/** `spec` of a KeyOwnerGroup: rules that many owners share. */
export const keyOwnerGroupSpecSchema = z.strictObject({
  displayName: freeText(100).describe('The name that people know the group by, 1 to 100 characters.'),
  grants: grantList(),
});

/** `status` of a KeyOwnerGroup; only the operator writes it. */
export const keyOwnerGroupStatusSchema = z.strictObject({
  observedGeneration: count().exactOptional().describe('The metadata.generation that the status speaks of.'),
  conditions: conditionList(),
  keys: keyCounts(),
});
