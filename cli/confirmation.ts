import {createInterface} from 'node:readline/promises';

/** Asks on the terminal for `word` to be typed. */
export async function isConfirmed(word: string): Promise<boolean> {
  const prompt = createInterface({input: process.stdin, output: process.stderr});
  const answer = await prompt.question(`Type "${word}" to go on: `);
  prompt.close();
  return answer.trim() === word;
}
