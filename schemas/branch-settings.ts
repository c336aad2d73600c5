import * as z from 'zod';
import {durationSchema} from './duration.ts';
import {limitValues} from './limit-values.ts';
import {type ParsedYaml, parseYaml} from './yaml-file.ts';

export const branchSettingsPath = '.hoody/settings.yaml';

const limitsSchema = z
  .strictObject({
    cpus: limitValues.cpus.optional(),
    memory: limitValues.memory.optional(),
    disk: limitValues.disk.optional(),
    runs_per_day: limitValues.runs_per_day.optional(),
    run_time: limitValues.run_time.optional(),
    longest_run_time: limitValues.longest_run_time.optional(),
    overlap: limitValues.overlap.exclude(['allow']).optional(),
  })
  .meta({
    id: 'OwnLimits',
    description: 'As `limits` in branchtab.yaml; each no more than the operator allows.',
  });

const idleDuration = durationSchema.refine((ms) => ms >= 60_000, 'write at least 1m');

/** `.hoody/settings.yaml`: bounds that a branch sets itself. It may only tighten what the operator allows. */
export const branchSettingsSchema = z
  .strictObject({
    version: z.literal(1),
    live: z
      .strictObject({limits: limitsSchema.optional()})
      .optional()
      .meta({description: 'While the branch is the live one.'}),
    previews: z
      .strictObject({
        limits: limitsSchema.optional(),
        run: z.enum(['changed', 'none']).optional().meta({
          description: '`changed`: not the lines that live has too. `none`: nothing until it is released.',
        }),
        idle: z
          .strictObject({pause_after: idleDuration.optional(), remove_after: idleDuration.optional()})
          .refine(({pause_after, remove_after}) => (remove_after ?? Infinity) > (pause_after ?? 0), {
            message: 'remove_after must be longer than pause_after',
            path: ['remove_after'],
          })
          .optional()
          .meta({description: 'What becomes of it when nobody pushes it; kept branches stay all the same.'}),
      })
      .optional()
      .meta({description: 'While the branch is any other.'}),
  })
  .meta({id: 'BranchSettings', title: '.hoody/settings.yaml'});

export type BranchSettings = z.infer<typeof branchSettingsSchema>;
export type OwnLimits = z.infer<typeof limitsSchema>;

/** Parses the text of `.hoody/settings.yaml`. Issues carry line and column; unknown keys are issues. */
export function parseBranchSettings(text: string): ParsedYaml<BranchSettings> {
  return parseYaml(text, branchSettingsPath, branchSettingsSchema);
}
