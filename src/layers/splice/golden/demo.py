import zipfile,hashlib,base64,os,sys
name='demo-1.0-py3-none-any.whl'
files=[('demo/__init__.py',b'',zipfile.ZIP_DEFLATED,0o644),
 ('demo/text.py',b'print("deflated")\n'*20,zipfile.ZIP_DEFLATED,0o644),
 ('demo/stored.bin',bytes(range(256)),zipfile.ZIP_STORED,0o644),
 ('demo/tool',b'#!/bin/sh\nexec true\n'*5,zipfile.ZIP_DEFLATED,0o755),
 ('demo-1.0.data/scripts/demo-script',b'#!python\nprint(1)\n',zipfile.ZIP_DEFLATED,0o644),
 ('demo-1.0.dist-info/METADATA',b'Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n',zipfile.ZIP_DEFLATED,0o644),
 ('demo-1.0.dist-info/WHEEL',b'Wheel-Version: 1.0\nGenerator: none\nRoot-Is-Purelib: true\nTag: py3-none-any\n',zipfile.ZIP_DEFLATED,0o644)]
rec=''.join('%s,sha256=%s,%d\n'%(n,base64.urlsafe_b64encode(hashlib.sha256(c).digest()).decode().rstrip('='),len(c)) for n,c,_,_ in files)+'demo-1.0.dist-info/RECORD,,\n'
files.append(('demo-1.0.dist-info/RECORD',rec.encode(),zipfile.ZIP_DEFLATED,0o644))
with zipfile.ZipFile(sys.argv[1]+'/'+name,'w') as z:
    for n,c,m,mode in files:
        i=zipfile.ZipInfo(n,(1980,1,1,0,0,0)); i.external_attr=(0o100000|mode)<<16; i.compress_type=m
        z.writestr(i,c)
