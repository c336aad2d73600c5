import * as z from 'zod';
import {answerParent} from '../platform/helper-process.ts';
import {inspections} from './inspections.ts';

const requestSchema = z.object({
  inspection: z.enum(['check', 'compile', 'imports', 'returns', 'loadedForm']),
  path: z.string(),
  text: z.string(),
});

/** Answers inspections until the process that started us ends. */
export function inspectorMain(): void {
  answerParent((request) => {
    const {inspection, path, text} = requestSchema.parse(request);
    return inspections[inspection]({path, text});
  });
}
