import * as z from 'zod';
import {connectParent} from '../platform/parent-process.ts';
import {createSerialLock} from '../platform/serial-lock.ts';
import {inspections} from './inspections.ts';

const requestSchema = z.object({
  id: z.int(),
  inspection: z.enum(['check', 'imports', 'returns', 'loadedForm']),
  path: z.string(),
  text: z.string(),
});

/** Answers one inspection after the other until the process that started us ends. */
export function inspectorMain(): void {
  const inTurn = createSerialLock();
  const parent = connectParent((message) => {
    const {id, inspection, path, text} = requestSchema.parse(message);
    void inTurn(async () => {
      try {
        parent.send({id, result: await inspections[inspection]({path, text})});
      } catch (error) {
        parent.send({id, error: error instanceof Error ? error.message : String(error)});
      }
    });
  });
}
