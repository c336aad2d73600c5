import {createInterface} from 'node:readline/promises';

/** Asks on the terminal for `word` to be typed. Ctrl-C and the end of the input are a no. */
export async function isConfirmed(word: string): Promise<boolean> {
  const prompt = createInterface({input: process.stdin, output: process.stderr});
  const closed = new Promise<null>((resolve) => prompt.once('close', () => resolve(null)));
  try {
    const answer = await Promise.race([prompt.question(`Type "${word}" to go on: `), closed]);
    return answer?.trim() === word;
  } catch (error) {
    if (error instanceof Error && error.name === 'AbortError') return false;
    throw error;
  } finally {
    prompt.close();
  }
}
