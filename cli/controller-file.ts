import {rm} from 'node:fs/promises';
import {join} from 'node:path';
import * as z from 'zod';
import {isErrno, readTextIfPresent, writeFileDurably} from '../runtime/platform/durable-file.ts';

const controllerFileSchema = z.object({
  url: z.string(),
  /** Where it listens with a certificate, too. */
  tls_url: z.string().nullable().default(null),
  pid: z.int(),
  started_at: z.string(),
  version: z.string(),
});

/** `<state>/controller.json`: how other commands find the controller that runs on this state directory. */
export type ControllerFile = z.infer<typeof controllerFileSchema>;

const pathIn = (stateDirectory: string) => join(stateDirectory, 'controller.json');

export async function writeControllerFile(stateDirectory: string, file: ControllerFile): Promise<void> {
  await writeFileDurably(pathIn(stateDirectory), `${JSON.stringify(file, null, 2)}\n`);
}

/** Null when no controller was started here, or the file cannot be read as one. */
export async function readControllerFile(stateDirectory: string): Promise<ControllerFile | null> {
  const text = await readTextIfPresent(pathIn(stateDirectory)).catch((error: unknown) => {
    if (isErrno(error, 'ENOTDIR')) return null;
    throw error;
  });
  if (text === null) return null;
  try {
    return controllerFileSchema.parse(JSON.parse(text));
  } catch {
    // A file of another version or a torn one: the same as none, `up` writes it anew.
    return null;
  }
}

export async function hasControllerFile(stateDirectory: string): Promise<boolean> {
  return (await readTextIfPresent(pathIn(stateDirectory))) !== null;
}

export async function removeControllerFile(stateDirectory: string): Promise<void> {
  await rm(pathIn(stateDirectory), {force: true});
}
