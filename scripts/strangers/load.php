<?php
// Loads every PHP file of a folder, as an autoloader would: php load.php FOLDER. A library that a class only uses need not be there.
spl_autoload_register(function (string $class): void {
    $file = $GLOBALS['argv'][1] . '/' . strtr(preg_replace('/^(OpenAPI|Swagger)\\\\Client\\\\/', '', $class), '\\', '/') . '.php';
    if (is_file($file)) {
        require_once $file;
    }
});
set_error_handler(fn ($level, $text, $file, $line) => exit("error: $text in $file:$line\n"));
$loaded = 0;
foreach (new RecursiveIteratorIterator(new RecursiveDirectoryIterator($argv[1], FilesystemIterator::SKIP_DOTS)) as $file) {
    if ($file->getExtension() === 'php') {
        require_once $file->getPathname();
        $loaded++;
    }
}
exit($loaded > 0 ? 0 : 1);
