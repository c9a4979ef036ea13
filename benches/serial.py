"""The gateway read as people do it today: requests and ElementTree, page after page, a dict per row.

serial.py URL ROWS FIELD...      prints the seconds that reading took; fails when the rows are not all there.
"""

import sys
import time
import xml.etree.ElementTree as ElementTree

import requests

PAGE = 1000
REQUEST = """<?xml version="1.0" encoding="UTF-8"?>
<request><control><senderid>sender1</senderid><password>senderpw</password><controlid>serial</controlid>
<uniqueid>false</uniqueid><dtdversion>3.0</dtdversion><includewhitespace>false</includewhitespace></control>
<operation><authentication><login><userid>apiuser</userid><companyid>acme</companyid><password>secret</password></login>
</authentication><content><function controlid="serial"><query><object>ARINVOICE</object><select>{fields}</select>
<orderby><order><field>RECORDNO</field><ascending/></order></orderby><options><showprivate>true</showprivate></options>
<pagesize>{page}</pagesize><offset>{offset}</offset></query></function></content></operation></request>"""


def main():
    url, wanted, fields = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
    select = "".join(f"<field>{field}</field>" for field in fields)
    session = requests.Session()
    began = time.monotonic()
    rows = []
    while True:
        body = REQUEST.format(fields=select, page=PAGE, offset=len(rows))
        answer = session.post(url, data=body, headers={"Content-Type": "application/xml"}, timeout=300)
        answer.raise_for_status()
        data = ElementTree.fromstring(answer.content).find("operation/result/data")
        rows += [{cell.tag: cell.text for cell in row} for row in data]
        if int(data.get("numremaining")) == 0:
            break
    print(time.monotonic() - began)
    if len(rows) != wanted:
        sys.exit(f"{len(rows)} rows instead of {wanted}")


main()
