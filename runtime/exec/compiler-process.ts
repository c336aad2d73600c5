import {readFile, rename, writeFile} from '../platform/files.ts';
import {connectParent} from '../platform/parent-process.ts';
import {createSerialLock} from '../platform/serial-lock.ts';
import {compileScript} from './compile.ts';
import {type CompileReply, type CompileRequest, createCompileRequestSchema} from './compiled-script.ts';

/**
 * Parses scripts for the runtime that started us, in a process of its own: the parser is large, and a text may
 * be made to bring it down. Answers in the order of the requests; ends when the runtime ends.
 */
export function compilerMain(): void {
  const inTurn = createSerialLock();
  const requestSchema = createCompileRequestSchema();
  const parent = connectParent((message) => {
    const request = requestSchema.parse(message);
    void inTurn(async () => parent.send(await reply(request)));
  });
}

async function reply({id, path, cachePath}: CompileRequest): Promise<CompileReply> {
  try {
    const compiled = await compileScript(path, await readFile(path, 'utf8'));
    const temporary = `${cachePath}.${id}.tmp`;
    await writeFile(temporary, JSON.stringify(compiled));
    await rename(temporary, cachePath);
    return {id, error: null};
  } catch (error) {
    return {id, error: error instanceof Error ? error.message : String(error)};
  }
}
