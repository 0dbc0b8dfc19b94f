// PIN blocks of ISO 9564-1 as the issuer API and Network International take them.
import { createCipheriv, randomInt } from 'node:crypto';

const HEX = '0123456789ABCDEF';

/** The account field of formats 0 and 3: the 12 rightmost digits of the PAN without its check digit. */
const account = (pan: string) => pan.slice(-13, -1).padStart(16, '0');

/** The field of format 4: how many digits the PAN has beyond 12, and all of them. */
const wholePan = (pan: string) => (String(Math.max(0, pan.length - 12)) + pan.padStart(12, '0')).padEnd(32, '0');

// pad fills up to 16 hexadecimal digits, what is drawn up to size.
const formats = {
  'ISO-0': { control: '0', pad: 'F', drawn: '', size: 16, panField: account },
  'ISO-1': { control: '1', pad: '', drawn: HEX, size: 16, panField: () => '' },
  'ISO-3': { control: '3', pad: '', drawn: 'ABCDEF', size: 16, panField: account },
  'ISO-4': { control: '4', pad: 'A', drawn: HEX, size: 32, panField: wholePan },
};

export type Format = keyof typeof formats;

/**
 * The encrypted PIN block in upper-case hexadecimal: 16 digits under a TDES key of 16 or 24 bytes (formats 0,
 * 1 and 3), 32 under an AES key (format 4). The fill, what a format draws at random, is given by tests alone.
 */
export function pinBlock(format: Format, keyHex: string, pan: string, pin: string, fill?: string): string {
  if (!/^[0-9]{4,12}$/.test(pin)) throw new Error('a PIN has 4 to 12 digits');
  if (format !== 'ISO-1' && !/^[0-9]{12,19}$/.test(pan)) throw new Error('a PAN has 12 to 19 digits');
  const { control, pad, drawn, size, panField } = formats[format];
  const head = (control + pin.length.toString(16) + pin).padEnd(pad ? 16 : 0, pad);
  const clear = head + (fill ?? draw(drawn, size - head.length));
  const encrypt = encryptor(size, Buffer.from(keyHex, 'hex'));
  let field: Buffer = Buffer.from(clear, 'hex');
  if (format === 'ISO-4') field = encrypt(field);
  return encrypt(xor(field, panField(pan))).toString('hex').toUpperCase();
}

function draw(from: string, count: number): string {
  return Array.from({ length: count }, () => from[randomInt(from.length)]).join('');
}

function xor(field: Buffer, hex: string): Buffer {
  const other = Buffer.from(hex, 'hex');
  return Buffer.from(field.map((byte, i) => byte ^ (other[i] ?? 0)));
}

/** One call of the cipher that has blocks of that many hexadecimal digits. */
function encryptor(size: number, key: Buffer): (block: Buffer) => Buffer {
  const tdes = size === 16;
  if (tdes && key.length === 16) key = Buffer.concat([key, key.subarray(0, 8)]);
  return (block) => {
    const cipher = createCipheriv(tdes ? 'des-ede3-ecb' : `aes-${key.length * 8}-ecb`, key, null).setAutoPadding(false);
    return Buffer.concat([cipher.update(block), cipher.final()]);
  };
}
